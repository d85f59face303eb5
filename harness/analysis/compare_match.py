"""Whether two sides may be compared, and which of their cells belong together. Pure.

Cells match by identity, or by all of it but one axis.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from harness.analysis.axis_words import PRINTED_ONLY, axis_field, axis_words
from harness.analysis.compare_sides import Measured
from harness.builder.quantize.levels import is_own_cache, stands_for
from harness.core.errors import UsageError
from harness.models.served import UNTOLD, is_served
from harness.results.identity import later_words
from harness.results.machines import machines_of
from harness.results.metric_row import MetricRow, Source
from harness.results.schema import Cell, Document, Record, kind_of
from harness.results.summarize import host_counter
from harness.results.validity import why_left_out

# What says the same as another field in other words, or follows from it.
FOLLOWS = {
    "level": ("level_label",),
    "device": ("provider",),
    "model": ("parameters", "weights"),
    "runtime": ("level_label", "provider"),
    "depth": ("workload",),
    "prompt": ("workload",),
    "gen": ("workload",),
    "chunk": ("workload",),
    "workload": ("prompt", "gen", "depth", "chunk"),
}
# What may follow from the axis too: of exported files level and cache are the file's own, and files
# of one export are models of their own. It follows where every value of the axis has one of it.
MAY_FOLLOW = {
    "model": ("level", "level_label", "kv_cache", "active_parameters"),
    "level": ("model", "parameters", "weights", "kv_cache", "active_parameters"),
}
# Fields that a short name holds or that rarely vary; a new field of the cell joins it by itself.
TOLD = (
    *("model", "parameters", "level", "device", "provider", "runtime", "workload", "prompt"),
    *("gen", "depth", "chunk", "batch", "threads", "weights", "level_label", "active_parameters"),
)
TEST_FIELDS = ("workload", "prompt", "gen", "depth", "chunk")

# What a server tells nobody of what it runs; and its level, where that is UNTOLD. Of a model it is
# the name that counts: ours carries a hash of local files.
UNTOLD_FIELDS = (
    *("model", "parameters", "active_parameters", "device", "threads", "weights", "kv_cache"),
    *("prepack", "capacity"),
)
OWN = "own"  # the cache that a level comes with
HASH = "@"  # between the name of a model and the digest of its files

Key = tuple[Any, ...]
_Sides = dict[Key, list[Measured]]


@dataclass(frozen=True, slots=True)
class Match:
    """The records of one cell on both sides.

    Attributes:
        base: one per run.
        new: one per run.
        interleaved: both were measured in the same rounds of one run.
        sides: what each side is called where that is no field of the cell: machines; else empty.
    """

    base: tuple[Measured, ...]
    new: tuple[Measured, ...]
    interleaved: bool = False
    sides: tuple[str, str] = ("", "")

    @property
    def cell(self) -> Cell:
        """The base's cell."""
        return self.base[-1].record.cell

    @property
    def new_cell(self) -> Cell:
        """The new side's cell; differs in the axis."""
        return self.new[-1].record.cell

    @property
    def is_one_build(self) -> bool:
        """Whether both sides ran a static model of the same shapes: a step reads all its cache."""
        shapes = [one.record.shapes for one in (*self.base, *self.new)]
        return all(each == shapes[0] for each in shapes)


def match_documents(
    base: Sequence[Document], new: Sequence[Document]
) -> tuple[tuple[Match, ...], tuple[str, ...]]:
    """Match the cells of two sides, in the order of the base; and say which stand alone."""
    first, second = (_by_key(side, _identity) for side in (base, new))
    both = [
        Match(tuple(found), tuple(second[key])) for key, found in first.items() if key in second
    ]
    alone = [
        {k: f for k, f in one.items() if k not in other} for one, other in _pairs(first, second)
    ]
    renamed = _matched_by_name(*alone)
    both += renamed
    named = {id(one) for match in renamed for one in (*match.base, *match.new)}
    matches = tuple(match for match in both if match.is_one_build)
    unlike = [describe(match.cell) for match in both if not match.is_one_build]
    notes = [
        *left_out("base", base),
        *left_out("new", new),
        *([f"built for other shapes in base than in new: {_listed(unlike)}"] * bool(unlike)),
        *_renamed(renamed),
        *only_in("base", [found for found in alone[0].values() if id(found[0]) not in named]),
        *only_in("new", [found for found in alone[1].values() if id(found[0]) not in named]),
    ]
    return matches, tuple(notes)


def lost_cells(base: Sequence[Document], new: Sequence[Document]) -> tuple[tuple[Cell, str], ...]:
    """Cells that count on one side only, because what the other measured does not; with the reason.

    A cell that the other side never asked for is no such loss.
    """
    counted = [_by_key(side, _identity).keys() for side in (base, new)]
    found = {}
    for name, side, mine, theirs in (
        ("base", base, counted[0], counted[1]),
        ("new", new, counted[1], counted[0]),
    ):
        for document in side:
            for record in document.records:
                key, why = _identity(record.cell), why_left_out(record)
                if why is not None and key in theirs and key not in mine:
                    found[key] = record.cell, f"left out of {name}, {why}"
    return tuple(found.values())


def _matched_by_name(base: _Sides, new: _Sides) -> list[Match]:
    """Match cells of models that are called alike and are not the same files: a re-export.

    Only where each side has one model of the name at a level: else nothing says which is which.
    """
    first, second = (_once_by_name(side) for side in (base, new))
    return [
        Match(tuple(found), tuple(second[key])) for key, found in first.items() if key in second
    ]


def _once_by_name(side: _Sides) -> dict[Key, list[Measured]]:
    """Cells of a side by the name of their model, those left out that share all but its hash."""
    found: dict[Key, list[list[Measured]]] = {}
    for several in side.values():
        cell = several[0].record.cell
        if HASH in cell.model:
            key = (_name(cell.model), *_key(cell, {"model", *FOLLOWS["model"], *PRINTED_ONLY}))
            found.setdefault(key, []).append(several)
    return {key: cells[0] for key, cells in found.items() if len(cells) == 1}


def _renamed(matches: Sequence[Match]) -> list[str]:
    """One line with the models that are compared by their names."""
    pairs = dict.fromkeys((match.cell.model, match.new_cell.model) for match in matches)
    names = [f"{base} with {new}" for base, new in pairs]
    return [f"compared by name, the files are others: {_listed(names)}"] if names else []


def _pairs(one: _Sides, other: _Sides) -> tuple[tuple[_Sides, _Sides], tuple[_Sides, _Sides]]:
    """Each side with the other."""
    return (one, other), (other, one)


def _name(model: str) -> str:
    """The name of a model without the hash of its files."""
    return model.partition(HASH)[0]


def match_axis(
    document: Document, axis: str, base: str | None
) -> tuple[tuple[Match, ...], tuple[str, ...]]:
    """Match cells of one document that differ in one field only.

    Args:
        document: one run.
        axis: a field of the cell, or a name of axis_words.AXIS_NAMES.
        base: the value that others are compared with; None: the first of the document.

    Raises:
        UsageError: no such field, fewer than two values of it, files of which a level tells no
            two apart, or several machines.
    """
    field = axis_field(axis)
    _refuse_machines(document, axis)
    usable = [one for one in document.records if why_left_out(one) is None]
    said, cells = axis_words(document, field), [one.cell for one in usable]
    values = list(dict.fromkeys(map(said.of, cells)))
    first = said.meant(base, cells) if base is not None else next(iter(values), None)
    if len(values) < 2 or first not in values:
        listed = ", ".join(values) or "none that counts"
        raise UsageError(
            f"{document.run_id} cannot be compared by {axis}"
            + (f" with {base}" if base is not None else "")
            + f": its values are {listed}",
            fix=f"--base with one of: {listed}"
            if len(values) > 1
            else "another --axis, or BASE and NEW",
        )
    left = {field, *FOLLOWS.get(field, ()), *_following(cells, field)}
    sides: dict[Key, dict[str, Record]] = {}
    for one in usable:
        for key in _axis_keys(one.cell, field, left, usable):
            sides.setdefault(key, {})[said.of(one.cell)] = one
    matches = [
        Match(
            (_measured(document, found[first]),),
            (_measured(document, found[value]),),
            interleaved=found[first].source == found[value].source,
        )
        for value in values
        if value != first
        for found in sides.values()
        if first in found and value in found
    ]
    if not matches and field == "level":
        _refuse_untold(document.run_id, axis, cells)
    matched = {
        id(one.record) for match in matches for side in (match.base, match.new) for one in side
    }
    left_alone = {
        id(one): [Measured(document.run_id, one)]
        for found in sides.values()
        if first not in found or len(found) == 1
        for one in found.values()
        if id(one) not in matched
    }
    return tuple(matches), (
        *left_out("it", [document]),
        *only_in("one value of the axis", list(left_alone.values())),
    )


def _measured(document: Document, record: Record) -> Measured:
    """A record and its run, which of a merged document is one of several."""
    run = document if record.source is None else document.sources[record.source]
    return Measured(run.run_id, record, run.plan.looks)


def _refuse_machines(document: Document, axis: str) -> None:
    """Refuse to take what two machines have measured for what an axis does.

    Raises:
        UsageError: the document is of several machines.
    """
    machines = machines_of(document)
    if len(machines) > 1:
        raise UsageError(
            f"{document.run_id} is of {len(machines)} machines, and {axis} is compared on one",
            fix="the results of one machine: bench merge with its folder, or its files, alone",
        )


def _axis_keys(cell: Cell, field: str, left: set[str], others: Sequence[Record]) -> Iterator[Key]:
    """Yield what a cell is paired by along an axis.

    Runtimes store weights in forms of their own: a level is paired under the names of those that
    it stands for too, and the cache that a level comes with stands for that of another. What a
    server does not tell is taken to be as in every other row of the model.

    Args:
        cell: of one record.
        field: the axis.
        left: fields that do not count.
        others: all records.
    """
    if field != "runtime":
        yield _key(cell, left)
    elif is_served(cell.runtime):
        ours = (one.cell for one in others if not is_served(one.cell.runtime))
        for other in (one for one in ours if _name(one.model) == cell.model):
            told = {name: getattr(other, name) for name in UNTOLD_FIELDS}
            if cell.level == UNTOLD:
                told["level"] = other.level
            yield from _runtime_keys(replace(cell, **told), left)
        yield from _runtime_keys(cell, left)
    else:
        yield from _runtime_keys(cell, left)


def _runtime_keys(cell: Cell, left: set[str]) -> Iterator[Key]:
    """Yield what a cell is paired by with those of other runtimes."""
    kept = OWN if is_own_cache(cell.kv_cache, cell.level) else cell.kv_cache
    rest = _key(cell, {*left, "level", "kv_cache"})
    for level in (cell.level, *stands_for(cell.level)):
        yield (level, kept, *rest)


def _refuse_untold(run_id: str, axis: str, cells: Sequence[Cell]) -> None:
    """Refuse files that cannot be paired by their levels.

    Raises:
        UsageError: they are of other exports, or several of one are stored alike.
    """
    files: dict[str, dict[str, None]] = {}
    for cell in cells:
        if HASH in cell.model:
            files.setdefault(cell.level, {})[cell.model] = None
    names = dict.fromkeys(_name(model) for models in files.values() for model in models)
    alike = [
        f"{' and '.join(found)} at {level}" for level, found in files.items() if len(found) > 1
    ]
    if len(names) > 1:
        why = f"its files are of other exports: {_listed(list(names))}"
    elif alike:
        why = f"a level tells not which file is meant: {_listed(alike)}"
    else:
        return
    raise UsageError(
        f"{run_id} cannot be compared by {axis}: {why}",
        fix="--axis model, which compares files whatever their levels",
    )


def _following(cells: Sequence[Cell], field: str) -> Iterator[str]:
    """The fields that say nothing more than the axis does, in these cells.

    Of models that are files: every value of the axis has one value of such a field. Models follow
    from a level only where they are files of one export, which are called alike.
    """
    models = {cell.model for cell in cells}
    if len(models) < 2 or not all(HASH in model for model in models):
        return
    if field == "level" and len({_name(model) for model in models}) > 1:
        return
    for other in MAY_FOLLOW.get(field, ()):
        if len({(getattr(cell, field), getattr(cell, other)) for cell in cells}) == len(
            {getattr(cell, field) for cell in cells}
        ):
            yield other


def comparable(metric: MetricRow, match: Match, chosen: bool) -> bool:
    """Whether a metric belongs to a match: always when it was asked for.

    By default a speed is compared only in the tests that are judged by it, so that no difference
    is told twice.
    """
    return chosen or not metric.judges or kind_of(match.cell) in metric.judges


def is_counted_otherwise(metric: MetricRow, match: Match) -> bool:
    """Whether the energy of two sides is that of different things: packages, a machine, a card."""
    hosts = {host_counter(one.record) for side in (match.base, match.new) for one in side}
    return metric.source is Source.COUNTERS and len(hosts) > 1


def line_key(metric: MetricRow, match: Match) -> Key:
    """Two matches with the same key of a metric would tell the same thing twice."""
    left = {*PRINTED_ONLY, *(TEST_FIELDS if metric.of_session else ())}
    cells = (_key(match.cell, left), _key(match.new_cell, left))
    return (metric.name, *match.sides, *cells)


def describe(cell: Cell) -> str:
    """`smollm2-135m int4 tg32 @ d0 cpu 2 threads`, short enough for a note."""
    batch = "" if cell.batch == 1 else f" batch {cell.batch}"
    extras = "".join(f" {words}" for words in later_words(cell, TOLD))
    return f"{cell.model} {cell.level} {cell.workload} {cell.device} t{cell.threads}{batch}{extras}"


def _identity(cell: Cell) -> Key:
    """Everything that a cell is, but how it is printed."""
    return _key(cell, set(PRINTED_ONLY))


def _key(cell: Cell, left: set[str] | set[Any]) -> Key:
    """The values of all fields but some."""
    return tuple(getattr(cell, name) for name in Cell.__struct_fields__ if name not in left)


def _by_key(
    documents: Iterable[Document], key_of: Callable[[Cell], Key]
) -> dict[Key, list[Measured]]:
    """Records whose measurements count, by identity, one per run."""
    found: dict[Key, list[Measured]] = {}
    for document in documents:
        for record in document.records:
            if why_left_out(record) is None:
                one = Measured(document.run_id, record, document.plan.looks)
                found.setdefault(key_of(record.cell), []).append(one)
    return found


def left_out(side: str, documents: Iterable[Document]) -> list[str]:
    """One line per reason for which records of a side do not count."""
    reasons: dict[str, list[str]] = {}
    for document in documents:
        for record in document.records:
            why = why_left_out(record)
            if why is not None:
                reasons.setdefault(why, []).append(describe(record.cell))
    return [f"left out of {side}, {why}: {_listed(names)}" for why, names in reasons.items()]


def only_in(side: str, found: Sequence[Sequence[Measured]]) -> list[str]:
    """One line with the cells that only one side holds."""
    names = [describe(one.record.cell) for several in found for one in several[:1]]
    return [f"only in {side}: {_listed(names)}"] if names else []


def _listed(names: Sequence[str], most: int = 6) -> str:
    """The first names and how many more there are."""
    rest = len(names) - most
    return "; ".join([*names[:most], *([f"and {rest} more"] if rest > 0 else [])])
