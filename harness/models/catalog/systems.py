"""The systems that five source documents name, as stated there, and what is known of them since.

They stand in `configs/catalog/systems.toml`: what a document says of one, the number as printed,
what is doubtful about it, and which models of the catalog are meant.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from harness.core.errors import ModelError
from harness.core.records import data_folder, read_record, read_table

MODEL_KINDS = ("model", "service")  # kinds of systems that have parameters


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One of the documents.

    Attributes:
        key: its number.
        title: what it is.
    """

    key: str
    title: str


@dataclass(frozen=True, slots=True)
class SystemPart:
    """A part of a system that writes no text, and what was published of its size.

    Attributes:
        name: of the part.
        parameters: its count.
        source: where it was read.
    """

    name: str
    parameters: int
    source: str


@dataclass(frozen=True, slots=True)
class System:
    """One statement of a document about one system.

    Attributes:
        key: the word the user types; several statements may share it.
        name: as printed.
        kind: `model`, `device`, `chip`, `claim`, `threshold` and so on.
        document: key of the document.
        statement: in our words.
        aliases: other words for it.
        stated: the number as printed, or empty.
        parameters: that number as an integer, or None.
        threshold_parameters: a class boundary instead of a count.
        bound: `lower` where the document says "more than"; empty: as stated.
        model: catalog model it means, or empty.
        device: catalog device it means, or empty.
        testable: what this harness can say about it, or empty.
        note: what is wrong or doubtful in the statement, or empty.
        power_w: stated powers.
        max_development_usd: stated bound of the development cost.
        models: catalog models it means, where they are several or known by more than its name.
        basis: why it means those, with the source.
        makes: what it makes instead of text, or empty.
        parts: published counts of what makes it.
    """

    key: str
    name: str
    kind: str
    document: str
    statement: str
    aliases: tuple[str, ...] = ()
    stated: str = ""
    parameters: int | None = None
    threshold_parameters: int | None = None
    bound: str = ""
    model: str = ""
    device: str = ""
    testable: str = ""
    note: str = ""
    power_w: tuple[int, ...] = ()
    max_development_usd: int | None = None
    models: tuple[str, ...] = ()
    basis: str = ""
    makes: str = ""
    parts: tuple[SystemPart, ...] = ()

    @property
    def meant(self) -> tuple[str, ...]:
        """Every catalog model that it means."""
        return self.models or ((self.model,) if self.model else ())


@dataclass(frozen=True, slots=True)
class StatedCount:
    """The parameter count that the documents give for one system.

    Attributes:
        name: as printed.
        parameters: the count taken: a plain statement before a lower bound, the later document
            before the earlier.
        notes: doubts about it, and every other count that is stated.
    """

    name: str
    parameters: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """The whole file: one array of tables per field."""

    document: tuple[SourceDocument, ...]
    system: tuple[System, ...]


def systems() -> tuple[System, ...]:
    """Return every statement, in the order of the documents."""
    return _shipped().system


def documents() -> tuple[SourceDocument, ...]:
    """Return the documents."""
    return _shipped().document


def statements_about(name: str) -> tuple[System, ...]:
    """Return what the documents say about the system called `name`; empty where nothing."""
    spelled = name.lower().replace(" ", "-").replace("_", "-")
    return tuple(row for row in systems() if spelled in (row.key, *row.aliases))


def stated_count(name: str) -> StatedCount | None:
    """Return the stated parameter count of a model, with its contradictions; None without one."""
    counted = [
        row for row in statements_about(name) if row.parameters is not None and row.kind == "model"
    ]
    if not counted:
        return None
    plain = [row for row in counted if not row.bound] or counted
    taken = max(plain, key=lambda row: row.document)
    assert taken.parameters is not None  # filtered above
    notes = [f"{taken.stated}, document {taken.document}"]
    notes += [f"document {row.document}: {row.note}" for row in counted if row.note]
    notes += [
        f"document {row.document} states {row.stated}"
        for row in counted
        if row.parameters != taken.parameters
    ]
    return StatedCount(taken.name, taken.parameters, tuple(notes))


def read_systems(path: Path) -> tuple[tuple[SourceDocument, ...], tuple[System, ...]]:
    """Read a file of systems.

    Raises:
        ModelError: not TOML, an unknown or missing key, a wrong type, an unknown document, or a
            count that is not positive.
    """
    file = read_record(_File, read_table(path), path.name)
    keys = {document.key for document in file.document}
    for row in file.system:
        if row.document not in keys:
            raise ModelError(
                f"{path.name}: {row.key} is of document {row.document!r}", fix=f"of {sorted(keys)}"
            )
        for count in (row.parameters, *(part.parameters for part in row.parts)):
            if count is not None and count <= 0:
                raise ModelError(
                    f"{path.name}: {row.key} has {count} parameters", fix="leave it out"
                )
    return file.document, file.system


@cache
def _shipped() -> _File:
    """Return the shipped file, read once."""
    return _File(*read_systems(data_folder("configs") / "catalog" / "systems.toml"))


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A model that the source documents name, and of which no count was ever published.

    Attributes:
        key: the word for it.
        name: as printed.
        makes: what it makes instead of text, or empty.
        parts: published counts of what makes it.
        notes: what is said of it, and what is doubtful about that.
    """

    key: str
    name: str
    makes: str
    parts: tuple[SystemPart, ...]
    notes: tuple[str, ...]


def unpublished(word: str) -> Unpublished | None:
    """Return a model without a published count; None: it has one, or is none that they name."""
    rows = [row for row in statements_about(word) if row.kind in MODEL_KINDS]
    if not rows or stated_count(word) is not None or any(row.meant for row in rows):
        return None
    notes = (f"document {row.document}: {text}" for row in rows for text in _said(row))
    makes = next((row.makes for row in rows if row.makes), "")
    parts = tuple(part for row in rows for part in row.parts)
    return Unpublished(rows[0].key, rows[0].name, makes, parts, tuple(notes))


class Answer(StrEnum):
    """What `bench estimate` says of a system."""

    CATALOG = "catalog"  # models of the catalog that it means
    COUNT = "count"  # the parameter count that is stated
    PARTS = "parts"  # its parts and whether they fit: it writes no text
    LARGEST = "largest"  # what could run at all: no count was ever published


def answer_to(row: System) -> Answer | None:
    """Return what `bench estimate` says of a system; None: it is no model."""
    if row.kind not in MODEL_KINDS:
        return None
    if any(one.meant for one in statements_about(row.key)):
        return Answer.CATALOG
    unknown = unpublished(row.key)
    if unknown is None:
        return Answer.COUNT
    return Answer.PARTS if unknown.parts else Answer.LARGEST


def _said(row: System) -> Iterator[str]:
    """Yield what a document says of a system, and what is doubtful about it."""
    yield from (text for text in (row.statement, row.stated, row.note) if text)
