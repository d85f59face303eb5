"""Charts of results documents: Vega-Lite specifications, made by pure functions."""
