"""`bench estimate --on list`, and the words of `--on` that stand for several devices."""

from harness.core.errors import UsageError
from harness.core.ranges import parse_names
from harness.models.catalog.devices import (
    CatalogDevice,
    catalog_devices,
    device_classes,
    device_keys,
)
from harness.report.catalog_devices import engine_of

ALL, LIST = "all", "list"
CLASSES_FIX = "bench estimate --on list shows all devices by class"


def is_list(flags: dict[str, str | int | float | None]) -> bool:
    """Return whether the devices are asked for instead of an estimate.

    Raises:
        UsageError: so they are, and a model beside them.
    """
    if flags["devices"] != LIST:
        return False
    if flags["model"] is not None or flags["params"] is not None:
        raise UsageError(
            f"--on {LIST} shows the devices that there are, and takes no model",
            fix=f"bench estimate --on {LIST}, or --on {ALL} for an estimate on each of them",
        )
    return True


def listed_devices(kind: str | None) -> list[CatalogDevice]:
    """Return the devices of the catalog by class.

    Args:
        kind: only those that have such an engine; None: all.
    """
    return [one for one in catalog_devices() if kind is None or engine_of(one, kind)]


def named_devices(text: str) -> tuple[str, ...]:
    """Return the devices of `--on`: `all` is every one, a class every one of it.

    Raises:
        UsageError: `list` or `all` beside others.
    """
    words = parse_names(text, "--on")
    if words == (ALL,):
        return device_keys()
    alone = [word for word in words if word in (ALL, LIST)]
    if alone:
        raise UsageError(f"--on {alone[0]} stands alone", fix=CLASSES_FIX)
    classes = {row.name for row in device_classes()} & set(words)
    members: dict[str, list[str]] = {name: [] for name in classes}
    if classes:
        for device in catalog_devices():
            if device.device_class in members:
                members[device.device_class].append(device.key)
    return tuple(dict.fromkeys(key for word in words for key in members.get(word, [word])))
