"""The version of the package, said once: by the metadata of what is installed."""

DISTRIBUTION = "ondevice-bench"
NOT_INSTALLED = "not installed"


def installed_version() -> str:
    """Return the version of the installed distribution; `not installed` of a bare checkout."""
    from importlib import metadata  # here: most of what imports the package never asks

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED
