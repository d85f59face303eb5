"""Small models at 16 and 4 bits on every graphics processor that works here, beside estimates.

    python benchmarks/gpu_table.py --minutes 9 --results results/gpu
    python benchmarks/gpu_table.py --small --allow-simulated     # proves this script without a GPU

Each model on each device is one run of its own, the smallest models first, so that what has been
measured when the minutes are over is there; its documents stay in the results folder. Printed are
measured and estimated rates, their ratio as time measured over time estimated, the share of the
device's own read bandwidth that a step reached, where the nodes were, and energy where a counter
followed load (`pip install 'ondevice-bench[nvidia]'` on NVIDIA's). Levels are `fp16` and
`int4-half`: CUDA's attention takes no floats of 32 bits.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import harness
from harness.core.errors import HarnessError
from harness.devices.choose import DeviceRequest, choose_devices
from harness.devices.device import Device
from harness.report.grid import Column, draw_columns
from harness.report.rows import test_of
from harness.results.schema import Document, Record

DEVICES = ("cuda", "webgpu")  # those that run our decoders whole
MODELS = ("smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b")
LEVELS = ("fp16", "int4-half")
RATES = ("decode_tok_s", "prefill_tok_s")
# NVIDIA's counter moves every 20 to 100 ms: a shorter part has no energy.
TESTS = {"prompt": 512, "gen": 64, "rounds": 3, "warm_seconds": 0.5, "sample_seconds": 1.0}
SMALL = {"prompt": 8, "gen": 2, "rounds": 1, "warm_seconds": 0.1, "sample_seconds": 0.1}
LEAST_S = 60.0  # no run is begun with less time left: a build, and three rounds of short tests


def main() -> None:
    """Measure what there is time for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="begin nothing after these")
    parser.add_argument("--device", nargs="+", default=DEVICES, metavar="ROW")
    parser.add_argument("--model", nargs="+", default=MODELS)
    parser.add_argument("--level", nargs="+", default=LEVELS)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--small", action="store_true", help="bytelm alone, as short as it goes")
    parser.add_argument("--allow-simulated", action="store_true")
    asked = parser.parse_args()
    end_s = time.monotonic() + 60 * asked.minutes
    records: list[Record] = []
    models = ("bytelm",) if asked.small else tuple(asked.model)
    for device in working(tuple(asked.device), asked.allow_simulated):
        for model in models:
            left_s = end_s - time.monotonic()
            if left_s < LEAST_S:
                print(f"{device.key} {model}: left out, {left_s:.0f} s are left", flush=True)
                continue
            records += measured(device, model, asked, left_s)
    print(draw_columns(COLUMNS, records, "md"))
    for record in records:
        if record.reason:
            print(
                f"- {record.cell.device} {record.cell.model} {record.cell.level}: {record.reason}"
            )
    for reason in dict.fromkeys(r.energy.reason for r in records if r.energy and r.energy.reason):
        print(f"- energy: {reason}")


def working(rows: tuple[str, ...], allow_simulated: bool) -> Iterator[Device]:
    """Yield the devices that work here, and say why others do not."""
    for row in rows:
        (device,) = choose_devices((row,), DeviceRequest(allow_simulated=allow_simulated))
        if device.refusal is None:
            yield device
        else:
            print(f"{row}: {device.refusal[0]}", flush=True)


def measured(
    device: Device, model: str, asked: argparse.Namespace, left_s: float
) -> tuple[Record, ...]:
    """Run one model on one device; a run that fails costs its own rows."""
    tests = SMALL if asked.small else TESTS
    try:
        found: Document = harness.run(
            device=device.key,
            model=model,
            quant=list(asked.level),
            allow_simulated=asked.allow_simulated,
            threads="1",
            results=asked.results,
            budget=left_s / 2,
            progress=lambda what, done, total: print(f"{done}/{total} {what}", flush=True),
            **tests,
        )
    except HarnessError as error:
        print(f"{device.key} {model}: {error}", flush=True)
        return ()
    return found.records


def rate(record: Record) -> str:
    """The name of the rate that a record measures."""
    return next((name for name in RATES if name in record.metrics), RATES[0])


def value(record: Record, name: str) -> float | None:
    """A metric, or None."""
    found = record.metrics.get(name)
    return None if found is None else found.value


def estimated(record: Record) -> float | None:
    """The calibrated estimate of a record's rate."""
    return record.estimates.get(rate(record), {}).get("calibrated")


def ratio(record: Record) -> float | None:
    """Time measured over time estimated."""
    found, expected = value(record, rate(record)), estimated(record)
    return expected / found if found and expected else None


COLUMNS: tuple[Column[Record], ...] = (
    Column("device", lambda one: f"{one.cell.device}{' (simulated)' * one.simulated}"),
    Column("model", lambda one: one.cell.model),
    Column("level", lambda one: one.cell.level),
    Column("test", lambda one: test_of(one.cell)),
    Column("tok/s", lambda one: value(one, rate(one)), lambda number: f"{number:.1f}"),
    Column("est.", estimated, lambda number: f"{number:.1f}"),
    Column("meas/est", ratio, lambda number: f"{number:.2f}"),
    Column("MBU", lambda one: value(one, "mbu"), lambda share: f"{share:.0%}"),
    Column("placement", lambda one: one.placement.verdict if one.placement else None),
    Column("J/token", lambda one: value(one, "j_per_token"), lambda number: f"{number:.3g}"),
    Column("trust", lambda one: one.trust.grade if one.trust else one.status),
)


if __name__ == "__main__":
    main()
