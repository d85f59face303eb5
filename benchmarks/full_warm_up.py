"""A measuring child that warms up for longer, to see whether the usual way is long enough.

Windows are twice as long, and what was warm at another depth, or before, gets no shorter ones.
"""

from collections.abc import Callable

from harness.core.units import NS_PER_S
from harness.engine import worker
from harness.engine.measuring import Measuring, Shape
from harness.machine.meters import steady


def warm_in_full(
    measuring: Measuring, shape: Shape, call: Callable[[], int], cap_s: float
) -> steady.WarmUp:
    """Warm one shape with whole windows and all of the time."""
    earlier_ns = measuring.warmed.get(shape, ())
    cap_s = 2 * cap_s if earlier_ns else cap_s  # of which warm_up takes half then
    result = steady.warm_up(call, cap_s, measuring.clock, earlier_ns)
    measuring.warmed[shape] = result.last_window_ns
    return result


steady.WINDOW_NS = NS_PER_S // 2
Measuring._warm = warm_in_full  # type: ignore[method-assign]
Measuring._keep_warm = lambda *_: None  # type: ignore[method-assign]
COMMANDS = worker.COMMANDS
