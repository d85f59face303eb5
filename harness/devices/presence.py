"""Which distributions are installed, by their metadata alone: nothing is imported."""

from importlib import util

from harness.devices.row import ProviderRow, Registration

RUNTIME = "onnxruntime"  # the import package that several distributions claim


def installed_version(wheel: str) -> str | None:
    """Version of an installed distribution; None: it is not installed."""
    from importlib import metadata  # here: a measuring worker's memory counts

    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return None


def is_listed(row: ProviderRow) -> bool:
    """Whether what carries a row is there.

    The provider of a plugin is there when its module can be found. The providers of the plain
    `onnxruntime` wheel are in every wheel that owns that package.
    """
    if row.registration is not Registration.BUILT_IN:
        return row.module is not None and util.find_spec(row.module) is not None
    if row.wheel == RUNTIME:
        return util.find_spec(RUNTIME) is not None
    return installed_version(row.wheel) is not None
