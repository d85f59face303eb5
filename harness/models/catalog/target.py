"""What an estimate is asked about: a catalog model, a config.json, a stated system, a count."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, ModelError, UsageError
from harness.core.records import read_json_file
from harness.models.catalog.catalog import catalog_model
from harness.models.catalog.decoder import spec_structure
from harness.models.catalog.systems import UNOFFICIAL, stated_count, statements_about
from harness.models.catalog.text import plausible_parameters
from harness.models.configs.config import spec_from_file
from harness.models.specs.structure import ModelStructure

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


def catalog_target(name: str) -> EstimateTarget:
    """Return a catalog model, or an alias; what its count does not tell becomes notes."""
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
