"""What an estimate is asked about: a catalog model, a config.json, a stated system, a count.

Quantities are read as people write them: `7.6B`, `1조 7600억`, `8GB`. The systems that five source
documents name stand in `configs/catalog/systems.toml`, as stated there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.core.encoding import read_json_file
from harness.core.errors import HarnessError, ModelError, UsageError
from harness.core.records import data_folder, read_record, read_table
from harness.core.units import GB, GIB, MIB
from harness.models.catalog.catalog import catalog_model
from harness.models.catalog.counts import published_counts
from harness.models.configs.config import spec_from_file
from harness.models.specs.dissect import spec_structure
from harness.models.specs.structure import ModelStructure

# English short scale, then the Korean myriads; B is billion: the field's word for 1e9 parameters.
_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "B": 10**9,
    "G": 10**9,
    "T": 10**12,
    "만": 10**4,
    "억": 10**8,
    "조": 10**12,
}
_WORDS = {"THOUSAND": "K", "MILLION": "M", "BILLION": "B", "TRILLION": "T", "BN": "B"}
_PART = re.compile(r"(\d+(?:\.\d+)?(?:E\d{1,2})?)\s*(만|억|조|[A-Z]*)\s*개?\s*")
_BYTE_UNITS = {
    "B": 1,
    "MB": 10**6,
    "M": 10**6,
    "MIB": MIB,
    "GB": GB,
    "G": GB,
    "GIB": GIB,
    "TB": 10**12,
    "T": 10**12,
    "TIB": 2**40,
}
MAX_BYTES = 10**18
MIN_PARAMETERS, MAX_PARAMETERS = 10**6, 10**15


def parse_parameters(text: str) -> int:
    """Return a parameter count: `7.6B`, `135M`, `1.76 trillion`, `3000억`, `1조 7600억`.

    Raises:
        UsageError: not a count, or outside 1e6 to 1e15, which no language model is.
    """
    rest = text.strip().replace(",", "").replace("_", "").upper()
    total, position = 0.0, 0
    while position < len(rest) or not rest:
        match = _PART.match(rest, position)
        unit = _WORDS.get(match[2], match[2]) if match else None
        if match is None or unit not in _UNITS:
            raise UsageError(
                f"{text!r} is no parameter count", fix="7.6B, 135M, 1.76T, 3000억 or 7600000000"
            )
        total += min(float(match[1]), 1e30) * _UNITS[unit]
        position = match.end()
    return plausible_parameters(round(total), text)


def plausible_parameters(parameters: int, text: str) -> int:
    """Return `parameters` if a language model can have as many.

    Raises:
        UsageError: under 1e6, often a count printed without its unit, or over 1e15.
    """
    if parameters < MIN_PARAMETERS:
        raise UsageError(
            f"{text!r} stands for {parameters:,} parameters: implausible, fewer than a million",
            fix=f"is a unit missing? {parameters}M, {parameters}B or {parameters}억"
            if parameters
            else "the count that it has: 135M, 7.6B or 3000억",
        )
    if parameters > MAX_PARAMETERS:
        raise UsageError(
            f"{text!r} stands for more than 1e15 parameters: implausible", fix="check the unit"
        )
    return parameters


def parse_bytes(text: str, flag: str) -> int:
    """Return the bytes of `8GB` (1e9), `8GiB` (2**30) or `16G`.

    Raises:
        UsageError: not a size, less than a byte, or more than any memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    factor = _BYTE_UNITS.get(match[2].upper()) if match else None
    size = float(match[1]) * factor if match is not None and factor is not None else 0.0
    if not 1 <= size <= MAX_BYTES:
        raise UsageError(f"{flag} {text[:40]!r} is no size", fix=f"{flag} 8GB or {flag} 8GiB")
    return int(size)


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


CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class EstimateTarget:
    """One model as far as it is known.

    Attributes:
        name: for a table.
        parameters: trained values.
        structure: its structure; None: the count is all there is.
        basis: where the count comes from.
        notes: doubts and contradictions.
    """

    name: str
    parameters: int
    structure: ModelStructure | None
    basis: str
    notes: tuple[str, ...] = ()


COUNTED = "published count, no structure"


def catalog_target(name: str) -> EstimateTarget:
    """Return a catalog model, an alias, or a model of which only a count was published.

    What its count does not tell becomes notes.

    Raises:
        UsageError: nothing is called so.
    """
    counted = published_counts().get(name)
    if counted is not None:
        notes = (f"{counted.stated}: {counted.source}", *counted.notes)
        return EstimateTarget(name, counted.parameters, None, COUNTED, notes)
    model = catalog_model(name)
    odd = (model.expected_delta_reason,) if model.expected_delta_reason else ()
    return EstimateTarget(
        name,
        model.structure.parameters,
        model.structure,
        "catalog, exact count",
        (*odd, *model.notes),
    )


def stated_target(word: str) -> EstimateTarget | None:
    """Return what the source documents say of a system; None: they name none called so.

    Raises:
        UsageError: they name it, and state no parameter count.
    """
    statements = statements_about(word)
    meant = next((row.model for row in statements if row.model), "")
    if meant:
        notes = tuple(f"document {row.document}: {row.note}" for row in statements if row.note)
        known = catalog_target(meant)
        named = f"{statements[0].name}: taken as {meant}"
        return replace(known, notes=(named, *notes))
    count = stated_count(word)
    if count is not None:
        return EstimateTarget(word, count.parameters, None, UNOFFICIAL, count.notes)
    if statements:
        raise UsageError(
            f"no parameter count is stated for {statements[0].name}",
            fix="bench estimate --params 7B",
        )
    return None


def counted_target(parameters: int, text: str) -> EstimateTarget:
    """Return a target that is a parameter count and nothing else."""
    count = plausible_parameters(parameters, text)
    return EstimateTarget(f"{text.strip()} parameters", count, None, "parameter count alone")


def config_target(path: Path, name: str = "") -> EstimateTarget:
    """Return the model of a config.json; of an unknown class only its count, as if Llama-like.

    Args:
        path: the file.
        name: of the model; empty: of its folder.

    Raises:
        ModelError: it neither names a known class nor gives a Llama-like size.
    """
    name = name or path.parent.name or path.stem
    try:
        structure = spec_structure(spec_from_file(path, name))
    except ModelError as error:
        count = _llama_like_count(path)
        if count is None:
            raise
        note = f"{error.problem}; counted as if its layers were Llama's"
        return EstimateTarget(name, count, None, "config.json, assumed Llama-like", (note,))
    return EstimateTarget(name, structure.parameters, structure, "config.json, exact count")


def _llama_like_count(path: Path) -> int | None:
    """Return V·h·(1 if tied else 2) + layers·(2·h·q + 2·h·k + 3·h·i), or None without the sizes.

    Assumes: dense layers with grouped heads and a gated block of the stated widths.
    """
    try:
        config = read_json_file(path)
        if not isinstance(config, Mapping):
            return None
        text = config.get("text_config")
        sizes = text if isinstance(text, Mapping) else config
        return plausible_parameters(_count_from(sizes), path.name)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, HarnessError):
        return None


def _count_from(sizes: Mapping[str, Any]) -> int:
    """Return the count from decoded sizes; a missing or odd one raises KeyError or TypeError."""
    keys = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    vocab, hidden, layers, heads = (_positive(sizes[key]) for key in keys)
    wide = _positive(sizes.get("intermediate_size") or 4 * hidden)
    head = _positive(sizes.get("head_dim") or hidden // heads)
    kv_heads = _positive(sizes.get("num_key_value_heads") or heads)
    layer = 2 * hidden * heads * head + 2 * hidden * kv_heads * head + 3 * hidden * wide
    return vocab * hidden * (1 if sizes.get("tie_word_embeddings") else 2) + layers * layer


def _positive(value: object) -> int:
    """Return a positive whole number or raise TypeError."""
    if type(value) is not int or value < 1:
        raise TypeError(f"{value!r} is no size")
    return value
