"""How far one record can be believed: its samples and the machine watch -> a grade."""

from collections.abc import Sequence

from harness.machine.watch.evidence import gather_evidence
from harness.machine.watch.trust import grade
from harness.results.replies import ProcessSamples
from harness.results.schema import Cell, Json, Metric, Reason, Trust
from harness.results.summarize import judged_half_width_share


def judge(
    cell: Cell,
    metrics: dict[str, Metric],
    processes: Sequence[ProcessSamples],
    file_changed: bool,
    machine: Json,
) -> Trust:
    """Grade one record from what its processes, the watch over them and the machine said."""
    evidence = gather_evidence(
        processes,
        judged_half_width_share(cell, metrics),
        file_changed,
        machine,
    )
    found = grade(evidence)
    reasons = tuple(Reason(code=code, detail=detail) for code, detail in found.reasons)
    return Trust(grade=found.grade, reasons=reasons)
