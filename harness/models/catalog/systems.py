"""The systems that five source documents name, `configs/catalog/systems.toml`, as stated there."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.core.errors import ModelError
from harness.core.records import data_folder, read_record, read_table

SMALL_MODEL_PARAMETERS = 10_000_000_000  # sLLM: fewer than this, document 001
UNOFFICIAL = "stated, unofficial"


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


def size_class(parameters: int) -> str:
    """Return `sLLM` below 10 billion parameters, else `LLM` (document 001)."""
    return "sLLM" if parameters < SMALL_MODEL_PARAMETERS else "LLM"


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
        if row.parameters is not None and row.parameters <= 0:
            raise ModelError(
                f"{path.name}: {row.key} has {row.parameters} parameters", fix="leave it out"
            )
    return file.document, file.system


@cache
def _shipped() -> _File:
    """Return the shipped file, read once."""
    return _File(*read_systems(data_folder("configs") / "catalog" / "systems.toml"))
