"""What cells, rows and machines are called in a chart, and in which order they stand. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.report.charts.chart import NamedDocument, Value
from harness.report.grid import one_line
from harness.report.headline import headline, thread_words
from harness.report.rows import Row, make_rows, shown
from harness.results.enums import PlacementVerdict, Prepack
from harness.results.schema import Cell, Document, Metric, Record
from harness.results.validity import is_real, is_valid

LONGEST = 40  # characters of a name on an axis or in a legend
MOST_LABELS = 4  # of machines in one line
LONGEST_PART = 26  # of one word of it
# field of a cell -> its word, in the order of words; None: it says nothing of this cell
WORDS: dict[str, Callable[[Cell], str | None]] = {
    "model": lambda cell: cell.model,
    "parameters": lambda cell: f"{cell.parameters:,} parameters",
    "level": lambda cell: cell.level,
    "kv_cache": lambda cell: None if cell.has_own_cache else f"kv {cell.kv_cache}",
    "weights": lambda cell: cell.weights,
    "device": lambda cell: cell.device,
    "runtime": lambda cell: cell.runtime,
    "prepack": lambda cell: None if cell.prepack == Prepack.OFF else f"prepack {cell.prepack}",
    "threads": lambda cell: thread_words(cell.threads),
    "batch": lambda cell: f"batch {cell.batch}",
    "chunk": lambda cell: f"chunks of {cell.chunk}" if cell.chunk else None,
    "capacity": lambda cell: f"capacity {cell.capacity:,}" if cell.capacity else None,
    "depth": lambda cell: f"@ d{cell.depth}",
    "workload": lambda cell: cell.workload,
}
FOLLOWS = {"parameters": "model", "depth": "workload"}  # said by another field, where that varies


@dataclass(frozen=True, slots=True)
class Machine:
    """One document of a page, with what it is called there.

    Attributes:
        label: the processor, with the file's name where two documents have the same one; the name
            alone where all have.
        named: the document.
        source: model, processor, versions, processes: the headline of its table.
        alone: it is the only document.
    """

    label: str
    named: NamedDocument
    source: str
    alone: bool

    @property
    def document(self) -> Document:
        """The run."""
        return self.named.document

    @property
    def suffix(self) -> str:
        """What a title says of the machine; empty where there is one."""
        return "" if self.alone else f" · {self.label}"

    @property
    def words(self) -> Mapping[str, str]:
        """`source` and `machine` of a chart."""
        return {"source": self.source, "machine": "" if self.alone else self.label}


def sources(all_machines: Sequence[Machine]) -> str:
    """What is said of the runs behind a chart that holds several."""
    if len(all_machines) == 1:
        return all_machines[0].source
    labels = [machine.label for machine in all_machines]
    return " · ".join(labels) if len(labels) <= MOST_LABELS else f"{len(labels)} results"


def machines(documents: Sequence[NamedDocument]) -> list[Machine]:
    """Every document with its label."""
    processors = [_processor(named.document) for named in documents]
    names = [cut(named.name) for named in documents]
    found = (
        names
        if len(set(processors)) == 1
        else [
            processor if processors.count(processor) == 1 else f"{processor} · {name}"
            for processor, name in zip(processors, names, strict=True)
        ]
    )
    alone = len(documents) == 1
    return [
        Machine(label, named, one_line(headline(named.document, _rows(named.document))), alone)
        for label, named in zip(distinct(found), documents, strict=True)
    ]


def _rows(document: Document) -> list[Row]:
    """Rows of a document's table."""
    return make_rows(document.records)


def _processor(document: Document) -> str:
    """The processor's name in few words."""
    environment = document.environment
    return cut(environment.cpu_model or environment.architecture or "machine")


def cell_words(
    cells: Sequence[Cell], always: Collection[str] = ("level",), never: Collection[str] = ()
) -> list[str]:
    """What tells each of some cells from the others, on one short line; all are distinct.

    Args:
        cells: whose.
        always: fields that are said even where all cells agree.
        never: fields that are said elsewhere.
    """
    told = [
        name
        for name, word in WORDS.items()
        if name not in never and (name in always or len({word(cell) for cell in cells}) > 1)
    ]
    told = [name for name in told if FOLLOWS.get(name) not in told]
    return distinct([_words(cell, told) for cell in cells])


def _words(cell: Cell, fields: Sequence[str]) -> str:
    """The words of some fields of a cell."""
    found = (WORDS[name](cell) for name in fields)
    return cut(" ".join(cut(word, LONGEST_PART) for word in found if word) or cell.level, 64)


def distinct(names: Sequence[str]) -> list[str]:
    """The names; one that stood there before gets a number."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return found


def cut(text: str, longest: int = LONGEST) -> str:
    """One line of visible characters, without its middle where it is long."""
    line = " ".join(one_line(text).split())
    half = longest // 2 - 1
    return line if len(line) <= longest else f"{line[:half]}…{line[-half:]}"


def is_drawn(record: Record) -> bool:
    """Whether a record is drawn: it ended well, counts, and nothing else did its device's work.

    Of runtimes that do not tell where nodes ran it is; of a device that left some to others not.
    """
    placement = record.placement
    is_told = placement is not None and placement.verdict is not PlacementVerdict.UNKNOWN
    return is_valid(record) and (is_real(record) or not (is_told or record.simulated))


def bits_of(record: Record) -> float:
    """Stored bits of a weight, by which levels are in order; 0 where they are not counted."""
    return shown(record, "bits_per_weight") or 0.0


def by_bits(rows: Sequence[Row]) -> list[Row]:
    """Rows model by model, in each the most bits first; equal ones as they were."""
    models = list(dict.fromkeys(row.cell.model for row in rows))
    return sorted(rows, key=lambda row: (models.index(row.cell.model), -bits_of(row.records[0])))


def measured(metric: Metric | None, scale: float = 1.0) -> dict[str, Value]:
    """Value, ends of the interval and processes of a metric, divided by `scale`."""
    if metric is None:
        return {"value": None, "low": None, "high": None, "processes": None}
    ends = {"value": metric.value, "low": metric.low, "high": metric.high}
    found: dict[str, Value] = {
        name: None if end is None else end / scale for name, end in ends.items()
    }
    return {**found, "processes": metric.processes}
