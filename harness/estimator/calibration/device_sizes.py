"""The shapes that a graphics processor is calibrated with, and which rows can be.

Larger than a processor's: a call takes microseconds before anything is computed, caches hold tens
of MiB, and memory is read at up to thousands of GB/s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.builder.quantize.levels import (
    CACHES,
    HALF,
    Form,
    QuantLevel,
    find_level,
    half_level,
    has_half,
)
from harness.core.units import MIB
from harness.devices.device import Device
from harness.devices.row import ProviderRow
from harness.estimator.calibration.constants import (
    ATTENTION,
    Sizes,
    attention_name,
    call_name,
    kernel_levels,
)
from harness.results.calibration import RatePoint
from harness.results.enums import CacheType

# Rows that take our graphs as they are, so that micro-graphs tell of them.
ROWS = ("webgpu", "cuda", "openvino-gpu")
# Of these the ones that leave GroupQueryAttention to others, and so run our encoders alone.
WITHOUT_ATTENTION = ("openvino-gpu",)
# Arrays that are read side by side: one alone may be no larger than a buffer of WebGPU, 128 MiB.
READ_PARTS = 4
SIMULATED_BASIS = "simulated: every probe ran, no number is a peak of anything, nothing is kept"

ON_DEVICE = Sizes(
    rounds=3,
    warm_seconds=0.05,  # a driver compiles each shape on its first run, and clocks rise
    seconds=0.03,
    passes=5,
    bandwidth_bytes=(16 * MIB, 64 * MIB, 256 * MIB, 512 * MIB),
    hidden=2048,
    wide=8192,
    chain_bytes=256 * MIB,
    rows=(1, 16, 128, 512),
    small=512,
    stack_bytes=32 * MIB,
    operator_width=1024,
    operator_rows=512,
)
# Emulation proves the function, so as little as runs through every probe.
SIMULATED = replace(
    ON_DEVICE,
    rounds=2,
    warm_seconds=0.0,
    seconds=0.0,
    passes=3,
    bandwidth_bytes=(MIB, 4 * MIB),
    hidden=128,
    wide=256,
    chain_bytes=MIB // 4,
    rows=(1, 16),
    small=128,
    few=2,
    stack_bytes=MIB // 8,
    operator_width=64,
    operator_layers=(4, 12, 36),
    operator_rows=256,
    cache_layers=2,
    attention_layers=2,
    heads=4,
    kv_heads=2,
    head_dim=32,
    depths=(1, 16, 64),
    prompts=(16,),
    logits=1024,
)


Rates = Mapping[str, tuple[RatePoint, ...]]


@dataclass(frozen=True, slots=True)
class Floats:
    """What stays float in the micro-graphs of a device.

    Attributes:
        dtype: `float32`, or `float16`, between which matrices of blocks have no other scales.
        attends: whether the device takes the attention of our decoders.
    """

    dtype: str
    attends: bool = True

    @property
    def is_half(self) -> bool:
        """Whether every float has 16 bits."""
        return self.dtype == "float16"

    def level(self, level: QuantLevel) -> QuantLevel:
        """A level as it runs between these floats."""
        return half_level(level) if self.is_half and has_half(level) else level

    def measured(self, levels: tuple[str, ...]) -> tuple[str, ...]:
        """The levels whose graphs are built for those asked for: of halves the whole ones.

        Levels that mix forms are left out, where floats are halves: they do not run there.
        """
        if not self.is_half:
            return levels
        whole = dict.fromkeys(name.removesuffix(HALF) for name in levels)
        return tuple(name for name in whole if find_level(name).body.form is not Form.CHANNEL)

    def caches(self, levels: tuple[str, ...]) -> tuple[str, ...]:
        """Caches beside that of `dtype` over which attention has a rate of its own.

        Half floats where a level has them; elsewhere a device need not know them.
        """
        halves = any(find_level(name).float_dtype == "float16" for name in levels)
        return (CacheType.FP16,) if halves and self.attends and not self.is_half else ()

    def rates(self, found: Rates) -> dict[str, tuple[RatePoint, ...]]:
        """Rates under the names by which estimates look for them.

        Between halves a kernel of blocks is that of their half form, and the attention that over
        half floats.
        """
        named = dict(found)
        if not self.is_half:
            return named
        for kernel in [name for name in named if name.startswith(f"{Form.BLOCK}-")]:
            plain = kernel.removesuffix(call_name(""))
            named[f"{plain}{HALF}{kernel[len(plain) :]}"] = named.pop(kernel)
        if self.attends:
            named[attention_name(CACHES[CacheType.FP16])] = named[ATTENTION]
        return named

    def needed(self, levels: tuple[str, ...]) -> set[str]:
        """Names of the rates that cover some levels."""
        attention = (ATTENTION,) if self.attends else ()
        measured = dict.fromkeys((*attention, *kernel_levels(self.measured(levels))), ())
        apart = {attention_name(CACHES[cache]) for cache in self.caches(levels)}
        return self.rates(measured).keys() | apart


def is_calibrated_row(row: ProviderRow) -> bool:
    """Whether the peaks of a row other than the processor's can be measured."""
    return row.key in ROWS


def reads_own_memory(device: str) -> bool:
    """Whether a device of a calibration, such as `webgpu:1`, is not the host's processor."""
    return device.partition(":")[0] in ROWS


def floats_of(row: ProviderRow) -> Floats:
    """What stays float in the micro-graphs of a row."""
    dtype = "float16" if row.half_attention else "float32"
    return Floats(dtype, row.key not in WITHOUT_ATTENTION)


def sizes_of(device: Device) -> Sizes:
    """The shapes for a device, or those that prove the function of an emulated one."""
    return SIMULATED if device.simulate else ON_DEVICE
