"""What a run will do, before it does it: what it builds, how long it takes, what it writes where.

Guesses, said before a first run, because minutes without a word look like a fault. Nothing is built
or measured for them, and no model file is read.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.core.units import about_time, size_words
from harness.estimator.calibration.calibrate import ROUND_SECONDS
from harness.estimator.calibration.constants import QUICK
from harness.estimator.calibration.store import FOLDER
from harness.runner.loop.builds import build_seconds, missing_builds
from harness.runner.loop.calibration import is_calibrated
from harness.runner.loop.device_calibration import has_calibrated_device
from harness.runner.loop.guesses import PROCESS_S, WARM_S, pass_seconds, prompt_seconds
from harness.runner.loop.memory_passes import share_process
from harness.runner.plan import Plan, SessionGroup


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run has to do.

    Attributes:
        models: that are built.
        built_bytes: of all of them.
        build_s: guess at their time.
        calibrations: of thread counts that nothing is stored of.
        processes: that time something, and that take memory, at the least.
        measure_s: guess at the time of all rounds and of memory.
    """

    models: int
    built_bytes: int
    build_s: float
    calibrations: int
    processes: tuple[int, int]
    measure_s: float

    @property
    def is_first(self) -> bool:
        """Whether something has to be made that later runs find in the cache."""
        return bool(self.models or self.calibrations)

    @property
    def seconds(self) -> float:
        """Guess at the whole."""
        calibrated = self.calibrations * (QUICK.rounds + 1) * ROUND_SECONDS
        return self.build_s + calibrated + self.measure_s


def expect(plan: Plan, cache: Path) -> Expected:
    """Count what a plan needs that the cache does not have, and guess how long all of it takes."""
    missing = missing_builds(plan, cache)
    groups, rounds = plan.groups, plan.settings.rounds
    one_round = sum(session_seconds(plan, group) for group in groups)
    held = sum(1 if share_process(group) else len(group.workloads) for group in groups)
    memory = sum(pass_seconds(group, test) for group in groups for test in group.workloads)
    return Expected(
        models=len(missing),
        built_bytes=sum(size for _, size in missing),
        build_s=sum(build_seconds(group) for group, _ in missing),
        calibrations=_missing_calibrations(plan, cache),
        processes=(len(groups) * rounds, held),
        measure_s=rounds * one_round + held * PROCESS_S + memory,
    )


def first_words(found: Expected, cache: Path, results: Path) -> list[str]:
    """Two lines for who runs a plan for the first time on a machine; none for later ones."""
    if not found.is_first:
        return []
    models = f"builds {found.models} model{'s' * (found.models != 1)}"
    size = size_words(found.built_bytes)
    timed = found.processes[0]
    steps = [
        *([f"{models} ({size}, {about_time(found.build_s)})"] * bool(found.models)),
        *(["measures this machine's peaks"] * bool(found.calibrations)),
        f"then {timed} timed process{'es' * (timed != 1)} and {found.processes[1]} for memory",
    ]
    kept = [*([size] * bool(found.models)), *(["the peaks"] * bool(found.calibrations))]
    return [
        f"first run here: {', '.join(steps)}; {about_time(found.seconds)} in all",
        f"writes {' and '.join(kept)} into {cache}, which later runs use again,"
        f" and the results into {results}",
    ]


def session_seconds(plan: Plan, group: SessionGroup) -> float:
    """One process of a group: start, warm-up and samples of its tests."""
    settings = plan.settings
    seconds = PROCESS_S + settings.cooldown
    for test in group.workloads:
        seconds += min(settings.warm_seconds, max(WARM_S, 3 * prompt_seconds(group, test)))
        seconds += max(settings.sample_seconds, settings.min_passes * pass_seconds(group, test))
    return seconds


def memory_seconds(group: SessionGroup) -> float:
    """The memory of one test of a group."""
    tests = len(group.workloads)
    passes_s = sum(pass_seconds(group, test) for test in group.workloads) / tests
    return PROCESS_S / (tests if share_process(group) else 1) + passes_s


def _missing_calibrations(plan: Plan, cache: Path) -> int:
    """Devices and thread counts of which no constants lie in the cache."""
    if not plan.settings.calibrate:
        return 0
    needed = {
        (group.device.key.replace(":", "-"), group.threads)
        for group in plan.groups
        if is_calibrated(group) or has_calibrated_device(group)
    }
    stored = [path.name for path in (cache / FOLDER).glob("*.json")]
    return sum(
        not any(name.startswith(f"{device}-{threads}t-") for name in stored)
        for device, threads in needed
    )
