"""Whether the steps of exported decoders continue their prompts, and what it means if not."""

from collections.abc import Iterator, Mapping

from harness.core.errors import WorkerError
from harness.machine.process.worker import Worker
from harness.results.entries import StepsCheckEntry
from harness.results.enums import Grade, ReasonCode
from harness.results.replies import StepsCheck
from harness.results.schema import Metric
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.calibration import peaks_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.parts import CellFacts, Doubt, Part
from harness.runner.loop.session import WORKER_MODULE, session_arguments
from harness.runner.plan import Plan

BEST_GRADE = Grade.C  # of a model whose steps do not continue its prompt


def step_checks(plan: Plan, builds: Builds, entries: Entries) -> Iterator[StepsCheckEntry]:
    """Hold the steps of every exported decoder against whole passes, once a model.

    A check that cannot be made is a finding as well: its reason stands in the record.
    """
    for key, group in {build_key(group): group for group in plan.groups}.items():
        artifact = builds.artifacts.get(key)
        if artifact is None or not artifact.has_steps:
            continue
        if key in entries.step_checks:
            continue
        try:
            with Worker.start(WORKER_MODULE) as worker:
                found = worker.ask(
                    "steps_check",
                    plan.settings.timeout,
                    StepsCheck,
                    **session_arguments(group, artifact, plan.settings.seed),
                )
        except WorkerError as error:
            found = StepsCheck(reason=f"{error.problem}; try: {error.fix}")
        yield StepsCheckEntry(model=key[0], level=key[1], found=found)


def exported_part(facts: CellFacts, metrics: Mapping[str, Metric]) -> Part:
    """What was recognised of an exported model, its share of the bandwidth, and its steps."""
    group, check = facts.group, facts.entries.step_checks.get(facts.build)
    peaks = peaks_of(facts.entries, group.device, group.threads)
    return Part(
        fields={"recognition": group.model.recognition(facts.artifact, check)},
        metrics=group.model.shares(facts.artifact, facts.workload, group.batch, metrics, peaks),
        doubts=steps_doubts(check),
    )


def steps_doubts(found: StepsCheck | None) -> tuple[Doubt, ...]:
    """What a failed check of its steps takes away from a grade.

    Args:
        found: None: nothing was there to check.
    """
    if found is None or found.agrees is not False:
        return ()
    detail = (
        f"logits of prompt and steps differ from those of one pass by {found.difference:.3g} of"
        f" the largest; {found.bound:g} is the most"
    )
    return (Doubt(BEST_GRADE, ReasonCode.STEPS_DIFFER, detail),)
