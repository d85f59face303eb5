"""What is said of a long command while it goes on: the step, how many there are, the time left."""

from collections.abc import Callable

from harness.core.units import about_time
from harness.report.grid import one_line
from harness.runner.loop.standing import Standing

Clock = Callable[[], float]


class Pace:
    """How long the rest takes, from the steps so far; another number of steps begins anew."""

    def __init__(self, clock: Clock) -> None:
        """Take a monotonic clock, in seconds."""
        self._clock = clock
        self._total = -1
        self._first = (0.0, 0)

    def left(self, done: int, total: int) -> str:
        """`about 40 s left`; empty while no step is done, and when all are."""
        if total != self._total:
            self._total, self._first = total, (self._clock(), done)
        start_s, before = self._first
        steps = done - before
        if steps <= 0 or done >= total:
            return ""
        return f"{about_time((self._clock() - start_s) / steps * (total - done))} left"


def time_left(by_pace: str, standing: Standing | None) -> str:
    """The time left by the guesses of what is missing, else by the pace of the steps."""
    if standing is None or standing.left_s is None:
        return by_pace
    return f"{about_time(standing.left_s)} left" if standing.left_s > 0 else ""


def log_line(what: str, done: int, total: int, left: str) -> str:
    """A line of a log: `round 2: a (8 of 36, about 40 s left)`."""
    counted = [f"{done} of {total}"] * bool(total and done) + [left] * bool(left)
    return one_line(f"{what} ({', '.join(counted)})" if counted else what)
