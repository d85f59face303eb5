"""A checkpoint's config.json becomes a specification."""
