"""What a page is drawn from: runs, what they are called beside each other, files not read. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.report.columns import IDENTITY, columns_of
from harness.report.headline import thread_words
from harness.report.rows import Row, make_rows
from harness.results.merged import runs_of as merged_of
from harness.results.schema import Document

WORDS: dict[str, Callable[[str], str]] = {
    "model": str,
    "level": str,
    "threads": thread_words,
    "device": "on {}".format,
}
SAID_BY_OTHERS = ("parameters", "active", "read", "weights", "placement")
# What makes a machine another one; versions of software do not.
MACHINE_FIELDS = ("cpu_model", "architecture", "physical_cores", "memory_bytes", "os")


@dataclass(frozen=True, slots=True)
class Source:
    """One results file.

    Attributes:
        name: of the file, without its folder.
        document: the run.
        told: what is to be known of the reading: what of it was damaged.
    """

    name: str
    document: Document
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that could not be read, among others that could.

    Attributes:
        name: of the file, without its folder.
        problem: what is wrong.
        fix: what to try.
    """

    name: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a page.

    Attributes:
        source: the file.
        label: what it is called beside the others: the machine, or the run's name too.
        machine: what its machine is called.
        rows: of its table.
        alone: it is the only run of the page.
    """

    source: Source
    label: str
    machine: str
    rows: tuple[Row, ...]
    alone: bool

    @property
    def document(self) -> Document:
        """What was read."""
        return self.source.document


def runs_of(sources: Sequence[Source]) -> tuple[Run, ...]:
    """Every run with what it is called, in the order given."""
    names = machine_names([source.document for source in sources])
    labels = [
        name if names.count(name) == 1 else f"{name}, {run_name(source.document)}"
        for name, source in zip(names, sources, strict=True)
    ]
    return tuple(
        Run(source, label, name, tuple(make_rows(source.document.records)), len(sources) == 1)
        for source, label, name in zip(sources, _apart(labels), names, strict=True)
    )


def machine_names(documents: Sequence[Document]) -> list[str]:
    """What the machine of each document is called: by its operator, else by its processor.

    Of different machines with one processor the second is (2).
    """
    known: dict[tuple[object, ...], str] = {}
    keys = [_machine_key(document) for document in documents]
    for key, document in zip(keys, documents, strict=True):
        if key not in known:
            facts = document.environment
            words = key[0] or facts.cpu_model or facts.architecture or "machine"
            name = " ".join(str(words).split())
            same = sum(other.split(" (")[0] == name for other in known.values())
            known[key] = f"{name} ({same + 1})" if same else name
    return [known[key] for key in keys]


def _machine_key(document: Document) -> tuple[object, ...]:
    """The word that an operator gave a machine, then what tells it from others."""
    mark = merged_of(document)[0].plan.cell
    facts = (getattr(document.environment, field) for field in MACHINE_FIELDS)
    return (mark.label if mark else "", *facts)


def run_name(document: Document) -> str:
    """`20261122-111219-a925`: the name of a run without the word."""
    return document.run_id.removeprefix("run-")


def row_name(row: Row, rows: Sequence[Row], without: Sequence[str] = ()) -> str:
    """What tells a row from the others: `int4`, or `int4 2 threads depth 512`.

    Args:
        row: which.
        rows: all of its table.
        without: headers that are told elsewhere.
    """
    identity = {column.header for column in IDENTITY} - {*SAID_BY_OTHERS, *without}
    cells = {
        column.header: column.cell(row)
        for column in columns_of(rows)
        if column.header in identity and column.value(row)
    }
    words = [WORDS.get(header, f"{header} {{}}".format)(cell) for header, cell in cells.items()]
    return " ".join(words) or row.cell.level_label or row.cell.level


def _apart(labels: Sequence[str]) -> Iterator[str]:
    """Yield the labels, each unlike those before it."""
    seen: dict[str, int] = {}
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        yield label if seen[label] == 1 else f"{label} ({seen[label]})"
