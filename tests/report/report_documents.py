"""Documents as a run would leave them, small enough to check a table by eye."""

from typing import Any

from msgspec import convert

from harness.results.document import with_open_parts
from harness.results.explanation import Explanation
from harness.results.quality import Quality
from harness.results.schema import Cell, Document, Metric, Reason, Record, Trust

MIB = 2**20
ENVIRONMENT = {
    "cpu_model": "AMD EPYC",
    "read_bandwidth": [{"threads": 2, "bytes_per_s": 9.9e9, "processes": []}],
    "packages": {"onnx": "1.23.2", "onnxruntime-genai": "0.18.0", "onnxruntime": "1.31.1"},
}
A = Trust(grade="A")


def cell(test: str, **other: Any) -> Cell:
    """A cell of smollm2-135m; `pp128`, `tg32` or `pg128+32`, with a depth if given."""
    numbers = test[2:].split("+")
    prompt = int(numbers[0]) if test[:2] in ("pp", "pg") else 0
    gen = int(numbers[-1]) if test[:2] in ("tg", "pg") else 0
    fields = {
        "model": "smollm2-135m",
        "parameters": 134_515_008,
        "level": "int4",
        "device": "cpu",
        "provider": "CPUExecutionProvider",
        "runtime": "ort",
        "depth": 0,
        "batch": 1,
        "threads": 2,
        "weights": "seeded",
        **other,
    }
    named = {"workload": f"{test} @ d{fields['depth']}", "prompt": prompt, "gen": gen}
    return Cell(**{**named, **fields})


def metric(value: float | None, unit: str = "tok/s", share: float = 0.02) -> Metric:
    """A metric of 5 processes with a half-width of 2 %."""
    if value is None:
        return Metric(value=None, unit=unit, processes=0)
    low, high = value * (1 - share), value * (1 + share)
    return Metric(value=value, low=low, high=high, unit=unit, processes=5)


COUNTED = {
    "bits_per_weight": Metric(value=4.53, unit="bit", processes=0),
    "weights_bytes": Metric(value=72.6 * MIB, unit="bytes", processes=0),
}


def one_pass(name: str, bound: str) -> dict[str, Any]:
    """The sum behind an estimate of one pass, none of whose terms is told."""
    step = {"pass": name, "seconds": 0.01, "bound": bound, "complete": True, "terms": []}
    return {"estimator": "calibrated", "basis": "measured here", "passes": [step]}


def record(test: str, metrics: dict[str, Metric], trust: Trust | None = A, **other: Any) -> Record:
    """A good record of one test with the metrics every record has."""
    shared = {
        **COUNTED,
        "load_ms": metric(181.0, "ms"),
        "peak_rss_bytes": Metric(value=300 * MIB, unit="bytes", processes=1),
    }
    for name, shape in (("quality", Quality), ("explanation", Explanation)):
        if name in other:
            other[name] = convert(other[name], shape)
    return Record(
        cell=cell(test, **other.pop("cell", {})),
        status="ok",
        metrics={**shared, **metrics},
        trust=trust,
        **other,
    )


def group(trust: Trust | None = A, **fields: Any) -> list[Record]:
    """The three records of one session group."""
    estimate = {"decode_tok_s": {"params": 130.0}, "peak_rss_bytes": {"params": 64.0 * MIB}}
    return [
        record("pp128", {"prefill_tok_s": metric(912.3)}, trust, cell=fields),
        record("tg32", {"decode_tok_s": metric(65.04)}, trust, estimates=estimate, cell=fields),
        record(
            "pg128+32", {"ttft_ms": metric(146.2, "ms"), "decode_tok_s": metric(64.0)}, cell=fields
        ),
    ]


def failed(test: str, reason: str, status: str = "crashed", **fields: Any) -> Record:
    """A record that gave nothing but its counted sizes."""
    return Record(cell=cell(test, **fields), status=status, reason=reason, metrics=COUNTED)


def document(*records: Record, **fields: Any) -> Document:
    """A results document around `records`."""
    head = {
        "run_id": "run-20261122-101500-1a2b",
        "created_utc": "2026-11-22T10:15:00+00:00",
        "environment": ENVIRONMENT,
        "plan": {"rounds": 5},
    }
    return Document(**with_open_parts({**head, **fields}), records=records)


def sweep() -> Document:
    """Three levels: an A, one with doubts, and one whose session died."""
    doubts = Trust(
        grade="C", reasons=(Reason(code="BACKGROUND_CPU", detail="CPU used by others 9%"),)
    )
    return document(
        *group(level="fp32"),
        *group(level="int8", level_label="int8 (W8A8 dynamic)", trust=doubts),
        *(failed(test, "it died; try: less", level="int4") for test in ("pp128", "tg32")),
    )
