"""What others published of models on devices: read, explained by few constants, and asked."""
