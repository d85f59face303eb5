"""How models that others exported run."""
