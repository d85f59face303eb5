"""How numbers are drawn for people: in digits that can be read, or as what they are beyond.

A number that is not finite is a dash; one that is larger than any measurement, or too small for its
digits, is drawn as the bound that it is beyond (`> 1e9`, `< 0.01`), never as 0 or a row of digits.
"""

import math
import re
from collections.abc import Callable

from harness.core.units import KIB, MIB
from harness.report.grid import MISSING

LARGEST = 1e9  # of a rate, a time or a ratio; counts have no bound
LARGEST_SHARE = 10.0  # 1000 %
LARGEST_RATIO = 1000.0
EXPONENT = re.compile(r"e\+?(-?)0*")  # e-07 is e-7
Draw = Callable[[float], str]


def bounded(draw: Draw, smallest: float = 0.0, largest: float = LARGEST, unit: Draw = str) -> Draw:
    """Return a way to draw a number that keeps to bounds.

    Args:
        draw: a number within them.
        smallest: what is smaller and not 0 is drawn as below this; 0: nothing is.
        largest: what is larger is drawn as above this.
        unit: draws a bound.
    """

    def drawn(value: float) -> str:
        if not math.isfinite(value):
            return MISSING
        size = abs(value)
        if size > largest:
            return f"> {unit(largest)}" if value > 0 else f"< -{unit(largest)}"
        if 0 < size < smallest:
            return f"< {unit(smallest)}" if value > 0 else f"> -{unit(smallest)}"
        text = draw(value)
        return text if any(digit in text for digit in "123456789") else text.lstrip("-")

    return drawn


def digits(value: float) -> str:
    """At least three digits of a number: 1234, 123, 12.3, 1.23; small ones are rounded."""
    size = abs(value)
    return f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def _bound(value: float) -> str:
    """A bound in few signs: 1e9, 1000, 0.01."""
    return EXPONENT.sub(r"e\1", f"{value:g}")


def _significant(value: float) -> str:
    """Three significant digits: 1234, 12.3, 0.000123, 1.23e-7."""
    return digits(value) if abs(value) >= 100 else EXPONENT.sub(r"e\1", f"{value:.3g}")


rounded = bounded(digits, unit=_bound)  # where a small share of a sum may be 0.00
three_digits = bounded(digits, smallest=0.005, unit=lambda value: _bound(max(value, 0.01)))
two_decimals = bounded("{:.2f}".format, 0.005, 1e6, lambda value: _bound(max(value, 0.01)))
four_decimals = bounded("{:.4f}".format, largest=1e6, unit=_bound)  # losses are small
three_significant = bounded(_significant, 1e-9, 1e6, _bound)
ratio = bounded("{:.3f}".format, 1 / LARGEST_RATIO, LARGEST_RATIO, _bound)
whole_percent = bounded("{:.0f}".format, largest=1e4, unit=_bound)
# A share as a percentage: 0.021 is 2.1%.
percent = bounded("{:.1%}".format, largest=LARGEST_SHARE, unit="{:.0%}".format)
signed_percent = bounded("{:+.1%}".format, largest=LARGEST_SHARE, unit="{:.0%}".format)
# As wide as its value says no more than that it is wide.
half_width = bounded("{:.1%}".format, largest=1.0, unit="{:.0%}".format)


def size_text(size_bytes: float) -> str:
    """Stored bytes: 1,234.5 MiB; below a tenth of one, 33.6 KiB or 12 bytes."""
    if size_bytes >= MIB / 10:
        return f"{size_bytes / MIB:,.1f} MiB"
    return f"{size_bytes / KIB:.1f} KiB" if size_bytes >= KIB else f"{size_bytes:.0f} bytes"


def counted(count: int, things: str) -> str:
    """A number of things, whose name is given as a plural: 5 rounds, 1 round, 1 process."""
    one = things.removesuffix("es") if things.endswith("sses") else things.removesuffix("s")
    return f"{count} {one if count == 1 else things}"


def plain_digits(value: float) -> str:
    """A number without an exponent, thousands apart where it is long: 4.5, 36, 1,572,864."""
    return f"{value:,.0f}" if value >= 1e5 else f"{value:g}"


def _estimated(value: float) -> str:
    """Three digits of an estimate, thousands apart; never a bare 0 for a small one."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


estimated = bounded(_estimated, 0.001, 1e12, _bound)
one_decimal = bounded("{:.1f}".format, largest=1e6, unit=_bound)
