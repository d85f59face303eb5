"""Which levels a plan means on its devices."""

from collections.abc import Iterable, Sequence

from harness.builder.quantize.levels import (
    HALF,
    SWEEP,
    QuantLevel,
    Variant,
    exact_level,
    find_levels,
)
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.table import ROWS
from harness.runner.settings import Settings
from harness.runner.settings.values import EXACT_TOO


def names_asked(settings: Settings) -> tuple[str, ...]:
    """Return the levels of a plan, with `--activations exact` each in its exact form too."""
    if settings.activations != EXACT_TOO:
        return settings.quant
    variants = (find_levels(settings.quant, variant) for variant in Variant)
    every = (one for levels in variants for one in levels)
    rounding = [one for one in every if one.rounds_activations and not one.name.endswith(HALF)]
    return (*settings.quant, *dict.fromkeys(exact_level(level).name for level in rounding))


def levels_on(names: Sequence[str], device: Device) -> tuple[QuantLevel, ...]:
    """Return the levels that a device runs of those that a plan names; `sweep` is its own.

    Args:
        names: as the user typed them.
        device: as chosen; one that is absent keeps every level, so that its rows say so.
    """
    levels = find_levels(names, Variant(device.row.variants[0]))
    if device.refusal is not None:
        return levels
    return tuple(level for level in levels if level.variant in device.row.variants)


def levels_of(names: Sequence[str], devices: Iterable[Device]) -> tuple[QuantLevel, ...]:
    """Return every level that a plan names, a word for several being that of each device."""
    variants = dict.fromkeys(Variant(device.row.variants[0]) for device in devices)
    named = [find_levels(names, variant) for variant in variants]
    return tuple(dict.fromkeys(level for levels in named for level in levels))


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
            own = find_levels([SWEEP], Variant(device.row.variants[0]))
            raise UsageError(
                f"{device.key} runs none of {', '.join(level.name for level in levels)}",
                fix=f"--quant with {', '.join(level.name for level in own)}",
            )


def _check_level(level: QuantLevel, devices: Sequence[Device]) -> None:
    """Refuse a level that none of the devices can run."""
    if any(device.refusal or level.variant in device.row.variants for device in devices):
        return
    able = [row.key for row in ROWS if level.variant in row.variants]
    own = find_levels([SWEEP], Variant(devices[0].row.variants[0]))
    ways = [f"--device {' or '.join(able)}"] if able else []
    ways.append(f"--quant with {', '.join(level.name for level in own)}")
    raise UsageError(
        f"{level.name} is built as a {level.variant} decoder, which"
        f" {' and '.join(device.key for device in devices)} cannot run",
        fix=", or ".join(ways),
    )


def check_static(level: QuantLevel, batches: Iterable[int], has_turns: bool = False) -> None:
    """Refuse what no static graph of a decoder is built for.

    Raises:
        UsageError: several sequences at once, or turns of a chat, at a static level.
    """
    if level.variant is Variant.STATIC and has_turns:
        raise UsageError(
            f"--turns: {level.name} is built as a static decoder, and chats are measured of those"
            " that read any number of tokens at once",
            fix="--prompt and --gen with --depth, or a level that CPUs and GPUs run",
        )
    if level.variant is Variant.STATIC and max(batches) > 1:
        raise UsageError(
            f"{level.name} is built as a static decoder, which reads one sequence, not"
            f" {max(batches)}",
            fix="--batch 1, or a level that CPUs and GPUs run",
        )
