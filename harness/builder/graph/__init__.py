"""Decoder and encoder graphs over one external data file."""
