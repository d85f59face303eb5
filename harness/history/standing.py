"""What the steps of a series come to: which were accepted, and what is left for a gate. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import UsageError, suggestion
from harness.history.blessings import Blessing, blessing_of
from harness.history.series import Point, Series
from harness.history.steps import Step, find_steps


@dataclass(frozen=True, slots=True)
class JudgedStep:
    """A step with what people said of it.

    Attributes:
        step: itself.
        blessing: that accepts it; None: nobody has.
        changed: what else changed between the runs on both sides, in words.
    """

    step: Step
    blessing: Blessing | None
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """A series with its steps, in its order.

    Attributes:
        series: the points.
        steps: confirmed ones and suspicions.
    """

    series: Series
    steps: tuple[JudgedStep, ...]

    @property
    def standing(self) -> JudgedStep | None:
        """The confirmed step that the newest point stands behind; None: there is none."""
        confirmed = [one for one in self.steps if one.step.is_confirmed]
        return confirmed[-1] if confirmed else None

    @property
    def fails(self) -> bool:
        """Whether the newest point stands behind a step for the worse that nobody accepted."""
        last = self.standing
        return last is not None and last.step.is_worse and last.blessing is None


def trend_of(
    series: Series, blessings: Iterable[Blessing], steps: Sequence[Step] | None = None
) -> Trend:
    """Find the steps of a series and who accepted them.

    Args:
        series: in its order.
        blessings: all of them.
        steps: of the series, where they were found before; None: they are looked for.

    Raises:
        DeviceError: what finds them is not installed.
    """
    known = tuple(blessings)
    judged = [
        JudgedStep(
            one,
            blessing_of(series, one.place, one.is_worse, known),
            tuple(changes(one.last, one.first)),
        )
        for one in (find_steps(series) if steps is None else steps)
    ]
    return Trend(series, tuple(judged))


def changes(before: Point, after: Point) -> Sequence[str]:
    """What differs between two runs besides their values: `onnxruntime 1.31.1 → 1.32.0`."""
    old, new = (
        {"commit": one.commit, **dict(one.versions), **dict(one.facts)} for one in (before, after)
    )
    return [
        f"{name} {old[name]} → {new[name]}"
        for name in old
        if name in new and old[name] and new[name] and old[name] != new[name]
    ]


def step_to_bless(trend: Trend, run_id: str | None) -> JudgedStep:
    """The step that is meant: the one behind a run, else the only one that nobody accepted.

    Raises:
        UsageError: there is none, or there are several and no run was named.
    """
    open_steps = [one for one in trend.steps if one.blessing is None]
    if run_id is not None:
        named = [one for one in trend.steps if one.step.first.run_id == run_id]
        if not named:
            raise UsageError(
                f"no step begins with run {run_id!r}",
                fix=suggestion(run_id, [one.step.first.run_id for one in trend.steps])
                if trend.steps
                else "bench history trend shows every run; this trend has no step",
            )
        return named[0]
    confirmed = [one for one in open_steps if one.step.is_confirmed] or open_steps
    if len(confirmed) != 1:
        runs = [one.step.first.run_id for one in confirmed]
        raise UsageError(
            f"the trend has {len(runs)} steps that nobody accepted"
            if runs
            else f"the trend of {trend.series.cell} has no step that nobody accepted",
            fix=f"--run with one of {', '.join(runs)}" if runs else "bench history bless --list",
        )
    return confirmed[0]
