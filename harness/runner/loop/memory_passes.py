"""The memory of every cell: tests of one session share a process where each raises the peak.

A process's high-water mark only rises, so what a test holds can be told behind another one that
holds less: they run in the order of their estimates, and one that did not raise the mark runs once
more, in a process of its own. So does one that failed behind another.
"""

from collections.abc import Iterator, Mapping, Sequence

from harness.core.errors import WorkerError
from harness.core.findings import Progress
from harness.engine.workload import Workload
from harness.estimator.record import ESTIMATORS
from harness.results.entries import Entry
from harness.runner.loop.assemble import estimates_part
from harness.runner.loop.builds import Builds
from harness.runner.loop.entries import Entries
from harness.runner.loop.memory_limit import refuse_without_room
from harness.runner.loop.parts import CellFacts
from harness.runner.loop.session import measure_memory, no_memory_entry, session_arguments
from harness.runner.plan import Plan, SessionGroup
from harness.runner.plan.runtimes import ORT

Tests = Sequence[Workload]
PEAK = "peak_rss_bytes"


def memory_passes(
    plan: Plan, builds: Builds, entries: Entries, progress: Progress
) -> Iterator[Entry]:
    """Yield the memory, or the failure, of every cell that the journal has none of.

    Args:
        plan: what is measured.
        builds: what was built for it.
        entries: of the journal, to which every yielded one is added before the next is asked for.
        progress: told before each test: what, cells done, cells of the plan.
    """
    for group in plan.groups:
        shared = _missing(group, entries)
        for tests in _shares(group, builds, entries, shared):
            yield from _taken(plan, group, tests, builds, entries, progress)
        for workload in _missing(group, entries):
            yield from _taken(plan, group, [workload], builds, entries, progress)


def in_order_of_peaks(tests: Tests, peaks: Mapping[str, float]) -> Tests:
    """Tests with the least estimated peak first; without estimates the shortest.

    Args:
        tests: of one session.
        peaks: by name of the test, in bytes.
    """
    return sorted(
        tests, key=lambda one: (peaks.get(one.name, 0.0), one.context_tokens, one.prompt_tokens)
    )


def share_process(group: SessionGroup) -> bool:
    """Whether tests of a group may follow one another in a process that takes memory.

    Not where a device's allocator keeps what a test has held, another runtime loads a model for
    one context, or what a test feeds is not the beginning of what a larger one does (exports).
    """
    return group.runtime == ORT and group.device.row.is_host and group.model.own_level is None


def _missing(group: SessionGroup, entries: Entries) -> list[Workload]:
    return [test for test in group.workloads if not entries.has_memory(group, test)]


def _shares(group: SessionGroup, builds: Builds, entries: Entries, tests: Tests) -> Iterator[Tests]:
    """Yield the tests that one process takes, at least two each."""
    if len(tests) < 2 or not share_process(group):
        return
    artifact, peaks = builds.of(group), _estimated_peaks(group, builds, entries)
    if artifact.state_bytes:  # which are filled by reading tokens of another beginning
        return
    opened: list[tuple[object, list[Workload]]] = []  # caches of windows have graphs of their own
    for test in in_order_of_peaks(tests, peaks):
        arguments = session_arguments(group, artifact, 0, group.bound_tokens(test))
        alike = next((alike for known, alike in opened if known == arguments), None)
        if alike is None:
            opened.append((arguments, [test]))
        else:
            alike.append(test)
    yield from (alike for _, alike in opened if len(alike) > 1)


def _estimated_peaks(group: SessionGroup, builds: Builds, entries: Entries) -> dict[str, float]:
    """The best estimate of each test's peak, bytes; 0 of tests without one."""
    found = {}
    for test in group.workloads:
        part = estimates_part(CellFacts(group, test, builds, entries, changed=False), {})
        values = part.fields["estimates"].get(PEAK, {})
        known = (values.get(name) for name in reversed(ESTIMATORS))
        found[test.name] = next((value for value in known if value is not None), 0.0)
    return found


def _taken(
    plan: Plan,
    group: SessionGroup,
    tests: Tests,
    builds: Builds,
    entries: Entries,
    progress: Progress,
) -> Iterator[Entry]:
    """Take what one process tells; a failure of its first test is that test's own.

    Its times stand without it.
    """

    def log(test: Workload) -> None:
        progress(f"memory: {group.key} {test.name}", *entries.done_of(plan))

    try:
        refuse_without_room(group, builds.of(group))
        yield from measure_memory(group, builds.of(group), tests, plan.settings, log)
    except WorkerError as error:
        if not entries.has_memory(group, tests[0]):
            yield no_memory_entry(group, tests[0].name, error)
