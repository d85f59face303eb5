"""Graphs of fixed shapes and standard operators, as NPUs take them."""
