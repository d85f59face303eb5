"""Documents with raw samples, as a run leaves them: built from one number per process."""

import random
from typing import Any

from msgspec import structs

from harness.results.document import with_open_parts
from harness.results.quality import Mean, PathQuality, Quality
from harness.results.replies import (
    EnergyUsed,
    Held,
    MemoryTaken,
    ProcessSamples,
    WatchInterval,
)
from harness.results.schema import Cell, Document, Metric, Record, Trust
from harness.results.summarize import energy_of, quality_metrics, summarize, summarize_memory
from tests import replies

ENVIRONMENT = {
    "cpu_model": "AMD EPYC",
    "usable_cores": 2,
    "python_version": "3.11.7",
    "os": "Debian",
    "packages": {"onnxruntime": "1.31.1"},
}
PLAN = {"rounds": 5, "seed": 0, "sample_seconds": 0.25}
STEPS = 4


def cell(test: str = "tg4", **fields: Any) -> Cell:
    """A cell of smollm2-135m: `pp8`, `tg4` or `pg8+4`, at depth 0."""
    numbers = test[2:].split("+")
    depth = fields.get("depth", 0)
    return Cell(
        **{
            "model": "smollm2-135m",
            "parameters": 134_515_008,
            "level": "int4",
            "device": "cpu",
            "provider": "CPUExecutionProvider",
            "runtime": "ort",
            "workload": f"{test} @ d{depth}",
            "prompt": int(numbers[0]) if test[:2] in ("pp", "pg") else 0,
            "gen": int(numbers[-1]) if test[:2] in ("tg", "pg") else 0,
            "depth": 0,
            "batch": 1,
            "threads": 2,
            "weights": "seeded",
            **fields,
        }
    )


def process(place: int, cell: Cell, unit_ms: float, load_ms: float = 300.0) -> ProcessSamples:
    """One process: a step, and a prompt token, take `unit_ms`."""
    unit_ns = round(unit_ms * 1e6)
    sample: dict[str, Any] = {}
    if cell.prompt:
        sample["prefill_ns"] = [cell.prompt * unit_ns]
        sample["ttft_ns"] = [cell.prompt * unit_ns + 1]
    if cell.gen:
        sample["itl_ns"] = [[unit_ns] * STEPS]
    if cell.prompt and cell.gen:
        sample["e2e_ns"] = [(cell.prompt + STEPS) * unit_ns]
    opened = replies.opened(load_ns=round(load_ms * 1e6), first_ns=None)
    return replies.process(replies.sample(**sample), opened, round=place)


def record(
    times_ms: list[float],
    test: str = "tg4",
    peak_bytes: int | None = 200_000_000,
    quality: Quality | None = None,
    status: dict[str, Any] | None = None,
    joules: list[float] | None = None,
    counters: tuple[str | None, str | None] = ("rapl", None),
    **fields: Any,
) -> Record:
    """A record of one process per time, with the energy of each if given, by those counters."""
    place = cell(test, **fields)
    processes = [process(number, place, time) for number, time in enumerate(times_ms)]
    host, device = counters
    if joules:
        used = [EnergyUsed(joules=each, host=host, device=device) for each in joules]
        pairs = zip(processes, used, strict=True)
        processes = [structs.replace(one, energy=each) for one, each in pairs]
    metrics = summarize(place, processes) if processes else {}
    if peak_bytes is not None:
        held = Held(rss_bytes=50_000_000, anonymous_bytes=None, file_bytes=None)
        taken = MemoryTaken(baseline=held, loaded=held, steady=held, peak_bytes=peak_bytes)
        metrics |= summarize_memory([taken])
    metrics |= {"weights_bytes": Metric(value=84e6, unit="bytes", processes=0)}
    metrics |= quality_metrics(place, quality or Quality())
    return Record(
        cell=place,
        metrics=metrics,
        samples=tuple(processes),
        quality=quality,
        energy=energy_of(processes),
        **{"status": "ok", "trust": Trust(grade="A"), **(status or {})},
    )


def quality(kld: float, half: float = 0.002, chunks: int = 20, top1: float = 0.95) -> Quality:
    """What a level loses, the same on both paths."""
    path = PathQuality(
        chunks=20,
        kld_nats=Mean(kld, max(0.0, kld - half), kld + half),
        top1_agreement=Mean(top1, top1 - half, top1 + half),
    )
    return Quality(prefill=path, decode=path)


def document(*records: Record, run_id: str = "run-a", **fields: Any) -> Document:
    """A run."""
    head = {"created_utc": "2026-11-22T10:15:00+00:00", "environment": ENVIRONMENT, "plan": PLAN}
    return Document(run_id=run_id, **with_open_parts({**head, **fields}), records=records)


def scattered(
    chance: random.Random, count: int, noise: float, center_ms: float = 10.0
) -> list[float]:
    """Times of so many processes, log-normal around a centre."""
    return [center_ms * chance.lognormvariate(0, noise) for _ in range(count)]


def busy(one: Record, share: float, steal: float = 0.0) -> Record:
    """The same record beside programs that used so much of two processors, and a hypervisor."""
    watch = WatchInterval(
        wall_ns=1_000_000_000,
        processors=2,
        background_cpu_ns=int(share * 2e9),
        steal_ns=int(steal * 2e9),
    )
    return structs.replace(
        one, samples=tuple(structs.replace(process, watch=watch) for process in one.samples)
    )
