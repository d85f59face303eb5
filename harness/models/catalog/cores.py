"""Peaks of processors by their cores: number x clock x operations of a core in a cycle."""

import re
from dataclasses import dataclass

from harness.core.errors import ModelError, suggestion

GIGA_PER_TERA = 1000
_GROUP = re.compile(r"(\d+)x (.+) (\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Width:
    """What a core does in one cycle with its vector units, multiply and add counted as two.

    Attributes:
        fp32: operations at 32 bit.
        fp16: at 16 bit; None: it has no arithmetic of that width.
        int8: at 8 bit, by products of four; None: it has none.
    """

    fp32: int
    fp16: int | None
    int8: int | None


# One 128-bit pipe multiplies and adds 4 numbers of 32 bit, 8 of 16 or 16 of 8 bit a cycle.
_HALF_NEON = Width(8, None, None)
_ONE_NEON = Width(8, 16, 32)
_TWO_NEON = Width(16, 32, 64)
_FOUR_NEON = Width(32, 64, 128)
_SIX_NEON = Width(48, 96, 192)
_AVX2 = Width(32, None, 64)
_AVX2_VNNI = Width(32, None, 128)
_AVX512 = Width(64, None, 128)
_AVX512_VNNI = Width(64, None, 256)
_CORES: dict[Width, tuple[str, ...]] = {
    Width(2, None, None): ("P550",),  # RISC-V without a vector unit
    _HALF_NEON: ("A53", "A57", "A72", "Denver 2"),
    _ONE_NEON: ("A55", "A510", "A520"),
    Width(16, 32, None): ("Carmel",),
    _TWO_NEON: (
        "X60",  # of RISC-V, with vectors of 256 bit
        *("A76", "A77", "A78", "A78AE", "A710", "A715", "A720", "A725"),
        *("C1-Pro", "E", "Neoverse N1", "AmpereOne"),
    ),
    _FOUR_NEON: (
        *("X1", "X2", "X3", "X4", "C1-Premium", "Oryon", "P"),
        *("Neoverse V1", "Neoverse V2", "Neoverse V3AE"),
    ),
    _SIX_NEON: ("X925", "C1-Ultra"),
    Width(16, None, 32): ("Gracemont",),
    Width(16, None, 64): ("Crestmont",),
    _AVX2: ("Broadwell", "Skylake", "Zen 2", "Zen 3"),
    _AVX2_VNNI: (
        *("Golden Cove", "Raptor Cove", "Redwood Cove", "Lion Cove", "Cougar Cove"),
        *("Sunny Cove", "Willow Cove", "Cypress Cove", "Skymont", "Darkmont"),
        *("Zen 4", "Zen 5 mobile"),
    ),
    _AVX512: ("Skylake-SP",),
    _AVX512_VNNI: (
        *("Cascade Lake", "Ice Lake", "Sapphire Rapids", "Emerald Rapids", "Granite Rapids"),
        *("Zen 5",),
    ),
}
WIDTHS = {name: width for width, names in _CORES.items() for name in names}


@dataclass(frozen=True, slots=True)
class CorePeaks:
    """Peaks of all cores together, 1e12 operations a second; None where a core has no such unit.

    Attributes:
        int8_tops: at 8 bit.
        fp16_tflops: at 16 bit.
        fp32_tflops: at 32 bit.
    """

    int8_tops: float | None
    fp16_tflops: float | None
    fp32_tflops: float | None


def core_peaks(cores: str, where: str) -> CorePeaks:
    """Return the peaks of `4x A76 2.4 + 4x A55 1.8`: number, name, GHz of each group.

    Formula: sum over groups of number x GHz x operations a cycle / 1000. P and E are Apple's.

    Raises:
        ModelError: not of that form, or a core that stands in no row.
    """
    groups = []
    for text in cores.split(" + "):
        match = _GROUP.fullmatch(text)
        if match is None:
            raise ModelError(
                f"{where}: cores are {cores!r}", fix="number, name and GHz: 4x A76 2.4 + 4x A55 1.8"
            )
        if match[2] not in WIDTHS:
            raise ModelError(
                f"{where}: no core is called {match[2]!r}", fix=suggestion(match[2], WIDTHS)
            )
        groups.append((int(match[1]) * float(match[3]), WIDTHS[match[2]]))

    def total(operations: list[int | None]) -> float | None:
        known = [a_cycle for a_cycle in operations if a_cycle is not None]
        if len(known) < len(groups):
            return None
        giga = sum(ghz * a_cycle for (ghz, _), a_cycle in zip(groups, known, strict=True))
        return float(f"{giga / GIGA_PER_TERA:.3g}")

    return CorePeaks(
        int8_tops=total([width.int8 for _, width in groups]),
        fp16_tflops=total([width.fp16 for _, width in groups]),
        fp32_tflops=total([width.fp32 for _, width in groups]),
    )
