"""What a model is: numbers, catalog, configurations, weights, texts, exported files."""
