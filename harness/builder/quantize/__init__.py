"""The table of levels, packing of arrays, exact stored bytes."""
