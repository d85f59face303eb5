"""The models, devices and systems that ship with the package, read from TOML."""
