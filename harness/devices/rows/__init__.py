"""One row per provider, by class of device."""
