"""Sessions of models that were exported elsewhere: what they are fed, how they are run."""
