"""The tests: a folder for each package of harness, and what they share."""
