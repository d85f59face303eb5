"""What an estimate is asked about: a catalog model, a config.json, a stated system, a count.

Quantities are read as people write them: `7.6B`, `1조 7600억`, `8GB`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.encoding import read_json_file
from harness.core.errors import HarnessError, ModelError, UsageError
from harness.core.units import GB, GIB, MIB
from harness.models.catalog.catalog import catalog_model
from harness.models.catalog.counts import published_counts
from harness.models.catalog.names import known_name
from harness.models.catalog.systems import stated_count, statements_about, unpublished
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


def size_class(parameters: int) -> str:
    """Return `sLLM` below 10 billion parameters, else `LLM` (document 001)."""
    return "sLLM" if parameters < SMALL_MODEL_PARAMETERS else "LLM"


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

    What its count does not tell becomes notes. A name that is written otherwise is understood.

    Raises:
        UsageError: nothing is called so.
    """
    name = known_name(name) or name
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


def sizes_of(word: str) -> tuple[EstimateTarget, ...]:
    """Return the catalog models that the source documents mean by a word; mostly none."""
    statements = statements_about(word)
    told = next((row for row in statements if row.meant), None)
    if told is None:
        return ()
    doubts = [f"document {row.document}: {row.note}" for row in statements if row.note]
    named = f"{statements[0].name}: taken as {', '.join(told.meant)}"
    notes = (f"{named}; {told.basis}" if told.basis else named, *doubts)
    known = [catalog_target(name) for name in told.meant]
    return tuple(replace(one, notes=(*notes, *one.notes)) for one in known)


def stated_targets(word: str) -> tuple[EstimateTarget, ...]:
    """Return what the source documents say of a system, one target for each of its sizes.

    Returns:
        Nothing where they name none called so.

    Raises:
        UsageError: they name it, and no parameter count of it is known.
    """
    known = sizes_of(word)
    if known:
        return known
    count = stated_count(word)
    if count is not None:
        return (EstimateTarget(word, count.parameters, None, UNOFFICIAL, count.notes),)
    statements, unknown = statements_about(word), unpublished(word)
    if unknown is not None:
        raise UsageError(
            f"no parameter count of {unknown.name} was ever published",
            fix=f"bench estimate {unknown.key} --on DEVICE says what could run there at all",
        )
    if statements:
        device = next((row.device for row in statements if row.device), "")
        raise UsageError(
            f"no parameter count is stated for {statements[0].name}",
            fix=f"bench estimate MODEL --on {device}" if device else "bench estimate --params 7B",
        )
    return ()


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
