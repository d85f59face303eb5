"""Which levels a plan means on its devices, and with which caches."""

from collections.abc import Sequence

from harness.devices.choose import AUTO
from harness.devices.device import Device, split_index
from harness.devices.table import ROWS
from harness.errors import UsageError
from harness.plan.checks import is_encoder
from harness.quantize.cache import CacheLevel, find_cache, own_cache
from harness.quantize.levels import LADDER, QuantLevel, Variant, find_levels
from harness.settings import Settings
from harness.weights.source import ModelSource


def levels_of(settings: Settings) -> tuple[QuantLevel, ...]:
    """Return the levels of a plan or part; `ladder` is that of each device."""
    variants = dict.fromkeys(_variant_of(word, settings.ep) for word in settings.device)
    ladders = [find_levels(settings.quant, variant) for variant in variants]
    return tuple(dict.fromkeys(level for ladder in ladders for level in ladder))


def _variant_of(word: str, ep: tuple[str, ...]) -> Variant:
    """Which decoder a device runs, by its word; one that is not known is refused later."""
    name, _ = split_index(word)
    rows = [row for row in ROWS if name in (row.key, row.kind) and (not ep or row.key in ep)]
    return Variant(rows[0].variants[0]) if rows and name != AUTO else Variant.FUSED


def check_variants(levels: Sequence[QuantLevel], devices: Sequence[Device]) -> None:
    """Refuse a level that none of the devices can run, and a device that runs none of the levels.

    Raises:
        UsageError: with the devices, or levels, that can.
    """
    for level in levels:
        _check_level(level, devices)
    variants = {level.variant for level in levels}
    for device in devices:
        if device.refusal is None and variants.isdisjoint(device.row.variants):
            own = find_levels([LADDER], Variant(device.row.variants[0]))
            raise UsageError(
                f"{device.key} runs none of {', '.join(level.name for level in levels)}",
                fix=f"--quant with {', '.join(level.name for level in own)}",
            )


def _check_level(level: QuantLevel, devices: Sequence[Device]) -> None:
    """Refuse a level that none of the devices can run."""
    if any(device.refusal or level.variant in device.row.variants for device in devices):
        return
    able = [row.key for row in ROWS if level.variant in row.variants]
    own = find_levels([LADDER], Variant(devices[0].row.variants[0]))
    ways = [f"--device {' or '.join(able)}"] if able else []
    ways.append(f"--quant with {', '.join(level.name for level in own)}")
    raise UsageError(
        f"{level.name} is built as a {level.variant} decoder, which"
        f" {' and '.join(device.key for device in devices)} cannot run",
        fix=", or ".join(ways),
    )


def stored_of(
    settings: Settings, source: ModelSource, levels: tuple[QuantLevel, ...]
) -> dict[tuple[QuantLevel, CacheLevel], None]:
    """The levels of a model with each cache, each pair once; an encoder has no cache to choose."""
    if is_encoder(source):
        return dict.fromkeys((level, own_cache(level)) for level in levels)
    return dict.fromkeys(
        (level, find_cache(name, level)) for level in levels for name in settings.kv_cache
    )
