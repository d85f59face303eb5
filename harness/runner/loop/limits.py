"""How long a worker may be silent in each phase, from what the phase should take.

A guess is made of a fast machine, and a worker that still works must never be ended: what is
guessed is taken many times, beside a minute for all that nobody guessed. A number that is asked
for (`timeout`) holds for every phase instead; it holds too where nothing is guessed: other devices,
which compile models, servers and other runtimes.
"""

from collections.abc import Iterable

from harness.engine.workload import Workload
from harness.runner.loop.guesses import PROCESS_S, parameters_used, pass_seconds, prompt_seconds
from harness.runner.plan import SessionGroup
from harness.runner.plan.runtimes import ORT
from harness.runner.settings import Settings

LEAST_S = 60.0
MARGIN = 20.0  # a Raspberry Pi under load beside the two AVX2 cores of the guesses
READ_BYTES_PER_S = 50e6  # Assumes: no disk that models are kept on is slower


def open_limit(group: SessionGroup, settings: Settings, first: Workload) -> float:
    """Seconds that creating a session may take, and again the first run of a test."""
    if not _is_guessed(group, settings):
        return settings.timeout
    read_s = parameters_used(group) * group.level.body.bits / 8 / READ_BYTES_PER_S
    return LEAST_S + read_s + MARGIN * (PROCESS_S + _pass_s(group, first))


def warm_limit(group: SessionGroup, settings: Settings, test: Workload) -> float:
    """Seconds that warming a test up may take: its cap, and the passes that it needs at least."""
    if not _is_guessed(group, settings):
        return settings.timeout
    return LEAST_S + 2 * settings.warm_seconds + 3 * MARGIN * _pass_s(group, test)


def sample_limit(group: SessionGroup, settings: Settings, test: Workload) -> float:
    """Seconds that the timed part of a test may take."""
    if not _is_guessed(group, settings):
        return settings.timeout
    passes = max(settings.min_passes, 1)
    return LEAST_S + 2 * settings.sample_seconds + passes * MARGIN * _pass_s(group, test)


def turns_limit(groups: Iterable[SessionGroup], settings: Settings) -> float:
    """Seconds of any phase of workers that take turns: the longest of all."""
    return max(
        limit(group, settings, test)
        for group in groups
        for test in group.workloads
        for limit in (open_limit, warm_limit, sample_limit)
    )


def _is_guessed(group: SessionGroup, settings: Settings) -> bool:
    """Whether the time of its phases is guessed."""
    is_here = group.runtime == ORT and group.device.row.is_host and not group.device.simulate
    return "timeout" not in settings.given and is_here and group.model.parameters > 0


def _pass_s(group: SessionGroup, test: Workload) -> float:
    """A pass of a test, its depth read as if it were a part of the prompt."""
    tokens = max(test.prompt_tokens, 1)
    depth_s = prompt_seconds(group, test) * test.depth_tokens / tokens
    return pass_seconds(group, test) + depth_s
