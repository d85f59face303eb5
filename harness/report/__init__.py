"""Every table of every command, and the exporters for other tools."""
