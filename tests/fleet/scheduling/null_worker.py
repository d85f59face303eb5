"""`python -m tests.fleet.scheduling.null_worker ADDRESS OUT NAME [KEY=VALUE...]`: no models.

A worker that is one in everything but its measurements: a result says only whose it is. Keys:
`version`, `machine` (as announced), `seconds` (of a cell), `row` and `kind` (of its second device),
`ca`, `cert`, `key` (of TLS), `foreign` (answers with an object that is none of ours).
"""

import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from harness.core.version import installed_version
from harness.fleet.cell_run import machine_id, plan_of, result_name
from harness.fleet.cells import read_cell
from harness.fleet.scheduling.offer import Offer, OfferedDevice
from harness.fleet.scheduling.security import scheduler_address
from harness.fleet.scheduling.task import Ended, Station
from harness.fleet.scheduling.worker import serve
from harness.results.document import write_document
from harness.results.enums import Status
from harness.results.environment import Environment, MachineFacts
from harness.results.plan import CellMark
from harness.results.schema import METHOD_VERSION, Document, Record

FACTS = MachineFacts(cpu_model="null", packages={"onnxruntime": "0"})
NULL = "measured by nobody"


def null_document(path: Path, label: str) -> Document:
    """A result without a measurement."""
    cell = read_cell(path)
    mark = CellMark(hash=cell.hash, machine=machine_id(FACTS, label), label=label)
    return Document(
        run_id=f"run-{cell.hash}-{label}",
        created_utc="2026-11-22T10:00:00+00:00",
        environment=Environment(**structs.asdict(FACTS)),
        plan=structs.replace(plan_of(cell), cell=mark),
        records=tuple(Record(cell=row, status=Status.SKIPPED, reason=NULL) for row in cell.rows),
    )


def null_measure(label: str, seconds: float, stopped: threading.Event):
    """What stands where a worker starts `bench cell`."""

    def measure(path: Path, out: Path) -> Ended:
        with (out / "measured.txt").open("a", encoding="ascii") as lines:
            lines.write(f"{path.name}\n")
        stopped.wait(seconds)
        name = result_name(read_cell(path), FACTS, label)
        write_document(null_document(path, label), out / name)
        return Ended(0)

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
    measure = null_measure(name, float(words.get("seconds", 0)), stopped)
    station = Station(offer_of(name, words), Path(out), measure)
    return serve(scheduler_address(address, *tls), station, stopped.set, print)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
