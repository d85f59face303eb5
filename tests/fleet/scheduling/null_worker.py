"""`python -m tests.fleet.scheduling.null_worker ADDRESS OUT NAME [KEY=VALUE...]`: no models.

A worker that is one in everything but its measurements: a result says only whose it is. Keys:
`version`, `machine` (as announced), `seconds` (of a cell), `row` and `kind` (of its second device),
`ca`, `cert`, `key` (of TLS), `dies` (of the cell with so many threads). With `real=yes` cells are
measured by `bench cell`, and times.txt in the worker's folder says how long each took.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from harness.core.version import installed_version
from harness.fleet.cell_run import machine_id, plan_of, result_name
from harness.fleet.cells import CellFile, read_cell
from harness.fleet.scheduling.offer import Offer, OfferedDevice
from harness.fleet.scheduling.security import scheduler_address
from harness.fleet.scheduling.task import Children, Ended, Station
from harness.fleet.scheduling.worker import serve
from harness.machine.watch.facts import machine_facts
from harness.results.document import write_document
from harness.results.enums import Status
from harness.results.environment import Environment, MachineFacts
from harness.results.plan import CellMark
from harness.results.schema import METHOD_VERSION, Document, Record

FACTS = MachineFacts(cpu_model="null", packages={"onnxruntime": "0"})
NULL = "measured by nobody"


def null_document(cell: CellFile, label: str) -> Document:
    """A result without a measurement."""
    mark = CellMark(hash=cell.hash, machine=machine_id(FACTS, label), label=label)
    return Document(
        run_id=f"run-{cell.hash}-{label}",
        created_utc="2026-11-22T10:00:00+00:00",
        environment=Environment(**structs.asdict(FACTS)),
        plan=structs.replace(plan_of(cell), cell=mark),
        records=tuple(Record(cell=row, status=Status.SKIPPED, reason=NULL) for row in cell.rows),
    )


def null_measure(label: str, seconds: float, stopped: threading.Event, dies: str = ""):
    """What stands where a worker starts `bench cell`."""

    def measure(path: Path, out: Path) -> Ended:
        cell = read_cell(path)
        if cell.settings.threads == (dies,):
            stopped.wait(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        with (out / "measured.txt").open("a", encoding="ascii") as lines:
            lines.write(f"{path.name}\n")
        stopped.wait(seconds)
        write_document(null_document(cell, label), out / result_name(cell, FACTS, label))
        return Ended(0)

    return measure


def timed(children: Children):
    """`bench cell`, with its seconds in a file."""

    def measure(path: Path, out: Path) -> Ended:
        start_s = time.monotonic()
        ended = children(path, out)
        with (out / "times.txt").open("a", encoding="ascii") as lines:
            lines.write(f"{path.name} {time.monotonic() - start_s:.6f}\n")
        return ended

    return measure


def offer_of(name: str, words: Mapping[str, str]) -> Offer:
    """What it announces."""
    second = (OfferedDevice(row=words["row"], kind=words["kind"]),) if "row" in words else ()
    return Offer(
        name=name,
        version=words.get("version", installed_version()),
        method=METHOD_VERSION,
        machine=words.get("machine", machine_id(FACTS, name)),
        devices=(OfferedDevice(row="cpu", kind="cpu"), *second),
    )


def main(address: str, out: str, name: str, *pairs: str) -> int:
    words = dict(pair.split("=", 1) for pair in pairs)
    tls = [Path(words[key]) if key in words else None for key in ("ca", "cert", "key")]
    stopped = threading.Event()
    measure = null_measure(name, float(words.get("seconds", 0)), stopped, words.get("dies", ""))
    if "real" in words:
        words["machine"] = machine_id(machine_facts(), name)
        measure = timed(Children(["--machine", name, "-q"]))
    station = Station(offer_of(name, words), Path(out).absolute(), measure)
    return serve(scheduler_address(address, *tls), station, stopped.set, print)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
