"""Whether the steps of exported decoders continue their prompts, and what it means if not."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.errors import WorkerError
from harness.machine.process.worker import Worker
from harness.results.enums import Grade, ReasonCode, worst_grade
from harness.results.schema import Reason, Trust
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.entries import Entries
from harness.runner.loop.session import WORKER_MODULE, session_arguments
from harness.runner.plan import Plan

Json = dict[str, Any]
BEST_GRADE = Grade.C  # of a model whose steps do not continue its prompt


def step_checks(plan: Plan, builds: Builds, entries: Entries) -> Iterator[Json]:
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
                found: Json = worker.ask(
                    "steps_check",
                    timeout_s=plan.settings.timeout,
                    **session_arguments(group, artifact, plan.settings.seed),
                )
        except WorkerError as error:
            found = {"reason": f"{error.problem}; try: {error.fix}"}
        yield {"kind": "steps_check", "model": key[0], "level": key[1], "found": found}


def doubt_steps(trust: Trust, found: Mapping[str, Any] | None) -> Trust:
    """Add what a failed check of its steps takes away from a grade.

    Args:
        trust: as the samples deserve it.
        found: of `steps_check`; None: nothing was there to check.
    """
    if found is None or found.get("agrees") is not False:
        return trust
    detail = (
        f"logits of prompt and steps differ from those of one pass by {found['difference']:.3g} of"
        f" the largest; {found['bound']:g} is the most"
    )
    reason = Reason(code=ReasonCode.STEPS_DIFFER, detail=detail)
    grade = worst_grade(trust.grade, BEST_GRADE)
    return Trust(grade=grade, reasons=(reason, *trust.reasons))
