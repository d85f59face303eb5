"""Cells of a plan on many devices by dask.distributed: who offers what, who runs which cell."""
