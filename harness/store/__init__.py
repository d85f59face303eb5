"""Where built and fetched models lie, and how they get there."""
