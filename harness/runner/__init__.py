"""From plan to document."""
