"""A cell that measures nothing: `null_cell.py -P -m harness cell FILE --out DIR ...`.

What it does is the content of FILE: `ok`, `fails`, or `waits` until it is interrupted. A file of
`bench plan --cells` gets a result of numbers that are made up.
"""

import sys
import time
from pathlib import Path


def main() -> int:
    """Do what the cell says."""
    cell, out = Path(sys.argv[5]), Path(sys.argv[7])
    does = cell.read_text(encoding="utf-8").strip()
    if does.startswith("{"):
        return make_up(cell, out)
    waits = does == "waits" and not (out / "begun").exists()
    if waits:
        (out / "begun").touch()  # the next visit finds it, as it finds a journal
    sys.stdout.write("a table that nobody reads\n")
    try:
        sys.stderr.write(f"null cell {does}\n")
        sys.stderr.flush()
        time.sleep(60 * waits)
    except KeyboardInterrupt:
        return 130
    (out / f"result-{cell.stem}.json").write_text(f"{does} {sys.argv[8:]}", encoding="utf-8")
    return 3 if does == "fails" else 0


def make_up(file: Path, out: Path) -> int:
    """Write a result of a cell; of int8 none, as where a cell is refused."""
    from msgspec import structs

    from harness.fleet.cell_run import plan_of
    from harness.fleet.cells import read_cell
    from harness.results.document import write_document
    from harness.results.environment import Environment
    from harness.results.plan import CellMark
    from harness.results.schema import Document
    from tests.measured_documents import record

    cell = read_cell(file)
    level = cell.rows[0].level
    if level == "int8":
        sys.stderr.write("bench: refused\n")
        return 2
    word = sys.argv[sys.argv.index("--machine") + 1] if "--machine" in sys.argv else ""
    mark = CellMark(hash=cell.hash, machine="c" * 16, label=word)
    plan = structs.replace(plan_of(cell), cell=mark)
    rows = [structs.replace(record([10.0, 11.0]), cell=row) for row in cell.rows]
    document = Document(
        run_id=f"run-{level}",
        created_utc="2026-11-22T10:00:00+00:00",
        environment=Environment(cpu_model="a board"),
        plan=plan,
        records=tuple(rows),
    )
    write_document(document, out / f"result-{cell.hash}-{'d' * 16}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
