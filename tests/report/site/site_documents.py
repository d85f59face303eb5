"""Documents of a team: a cell measured again and again, on several machines, without a run."""

from typing import Any

from harness.results.document import with_open_parts
from harness.results.explanation import EstimatedPass, Explanation
from harness.results.schema import Document, Metric, Reason, Record, Trust
from tests.measured_documents import cell

STANDARD = {"rounds": 5, "warm_seconds": 1.0, "sample_seconds": 0.25, "min_passes": 1, "seed": 0}
MACHINE = {
    "cpu_model": "AMD EPYC",
    "usable_cores": 2,
    "memory_bytes": 25_274_793_984,
    "packages": {"onnxruntime": "1.32.0", "ondevice-bench": "0.2.0"},
}


def record(rate: float = 100.0, grade: str = "A", test: str = "tg4", **fields: Any) -> Record:
    """A decode test, estimated at 110 tok/s, ± 2 %."""
    reasons = () if grade == "A" else (Reason(code="WIDE_INTERVAL", detail="wide"),)
    more = {name: fields.pop(name) for name in ("status", "reason", "simulated") if name in fields}
    return Record(
        cell=cell(test, **fields),
        metrics={
            "decode_tok_s": Metric(
                value=rate, low=rate * 0.98, high=rate * 1.02, unit="tok/s", processes=5
            ),
            "peak_rss_bytes": Metric(value=2.0**28, unit="bytes", processes=1),
            "bits_per_weight": Metric(value=5.0, unit="bit", processes=0),
        },
        estimates={"decode_tok_s": {"params": 150.0, "calibrated": 110.0}},
        explanation=Explanation(
            estimator="calibrated",
            basis="measured here",
            passes=(
                EstimatedPass(
                    pass_name="decode step", seconds=0.009, bound="memory", complete=True, terms=()
                ),
            ),
        ),
        trust=Trust(grade=grade, reasons=reasons),
        **{"status": "ok", **more},
    )


def document(*records: Record, day: int = 1, **fields: Any) -> Document:
    """A run of the first days of a month; `machine` and `plan` go over the usual ones."""
    head = {
        "run_id": f"run-202611{day:02}-101500-1a2b",
        "created_utc": f"2026-11-{day:02}T10:15:00+00:00",
        "environment": MACHINE | fields.pop("machine", {}),
        "plan": STANDARD | fields.pop("plan", {}),
    }
    return Document(**with_open_parts(head | fields), records=records or (record(),))
