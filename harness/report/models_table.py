"""Rows of `bench models`: a catalog model or a system of the documents, as text and as values."""

from collections.abc import Callable, Collection, Sequence

from harness.builder.quantize.levels import LEVELS, QuantLevel
from harness.core.units import KIB, MIB
from harness.estimator.memory import peak_memory, stored_model_bytes
from harness.models.catalog.catalog import CatalogModel
from harness.models.catalog.systems import System, answer_to
from harness.models.catalog.target import size_class
from harness.models.specs.structure import ModelStructure
from harness.report.grid import KNOWN, Column, draw_columns, draw_records
from harness.report.numbers import plain_digits

FIT_TOKENS = 128  # prompt that must fit beside the weights
TEXT_LEVELS = ("fp32", "fp16", "int8", "int4", "int2")  # columns of the text; JSON has them all
KV_BYTES_PER_VALUE = 4  # the cache of built models is fp32 at every level but fp16


def _kv_kib(model: CatalogModel) -> float | None:
    """KiB of cache that one token takes; None: a model without a cache."""
    return model.structure.kv_bytes_per_token(KV_BYTES_PER_VALUE) / KIB or None


def _growing_kib(model: CatalogModel) -> float | None:
    """KiB of cache that one token takes once every window is full; None: no layer has one."""
    structure = model.structure
    if not structure.window_values:
        return None
    return KV_BYTES_PER_VALUE * structure.growing_values_per_token / KIB


def _window_kib(model: CatalogModel) -> float | None:
    """KiB of the full windows of one sequence; None: no layer has one."""
    return KV_BYTES_PER_VALUE * model.structure.window_values / KIB or None


def _stored_mib(level: str) -> Callable[[CatalogModel], float]:
    """Return what counts the stored MiB of a model at a level."""
    return lambda model: stored_model_bytes(model.structure, LEVELS[level]) / MIB


def _table_percent(model: CatalogModel) -> float:
    """Share of the parameters that stands in tables, in percent."""
    return 100 * model.structure.table_parameters / model.structure.parameters


KEPT = ("fp32", "int8", "int4")  # levels that a narrow terminal has
CATALOG_COLUMNS: tuple[Column[CatalogModel], ...] = (
    Column("model", lambda model: model.name),
    Column("kind", lambda model: model.structure.kind_word, leaves=1),
    Column("parameters", lambda model: model.structure.parameters, "{:,}".format),
    Column("active", lambda model: model.structure.active_parameters, "{:,}".format, leaves=7),
    Column("read", lambda model: model.structure.read_parameters, "{:,}".format, leaves=8),
    Column("class", lambda model: size_class(model.structure.parameters), leaves=9),
    Column("embedding %", _table_percent, "{:.0f}".format, leaves=3),
    Column("KV KiB/token", _kv_kib, plain_digits, leaves=1),
    Column("past window", _growing_kib, plain_digits, leaves=6),
    Column("window KiB", _window_kib, "{:,.0f}".format, leaves=5),
    Column(
        "state KiB",
        lambda model: model.structure.state_bytes / KIB or None,
        "{:,.0f}".format,
        leaves=4,
    ),
    *(
        Column(f"{name} MiB", _stored_mib(name), "{:,.0f}".format, leaves=2 * (name not in KEPT))
        for name in TEXT_LEVELS
    ),
    Column("built", lambda model: "yes" if model.structure.spec is not None else "no", leaves=1),
)
SYSTEM_COLUMNS: tuple[Column[System], ...] = (
    Column("key", lambda system: system.key),
    Column("name", lambda system: system.name, leaves=3),
    Column("kind", lambda system: system.kind, leaves=1),
    Column("document", lambda system: system.document, leaves=4),
    Column("parameters", lambda system: _count(system), "{:,}".format),
    Column("stated", lambda system: system.stated or None, leaves=5),
    Column("runs as", lambda system: ", ".join(system.meant) or system.device or None, leaves=2),
    Column("answer", answer_to, shown=KNOWN),
    Column("note", lambda system: system.note or None, leaves=6),
)


def draw_catalog(models: Sequence[CatalogModel], available_bytes: float | None, style: str) -> str:
    """Draw what is known of catalog models.

    Args:
        models: one row each.
        available_bytes: memory that a model may take here; None: not known.
        style: of `options.FORMATS`.
    """
    if style in ("json", "jsonl"):
        return draw_records([catalog_values(model, available_bytes) for model in models], style)
    texts = {model.name: _fits_text(model.structure, available_bytes) for model in models}
    fits: Column[CatalogModel] = Column("fits", lambda model: texts[model.name])
    return draw_columns([*CATALOG_COLUMNS, fits], models, style)


def draw_systems(rows: Sequence[System], style: str) -> str:
    """Draw the systems that the source documents name.

    Args:
        rows: statements of the documents.
        style: of `options.FORMATS`.
    """
    if style in ("json", "jsonl"):
        return draw_records([seed_values(row) for row in rows], style)
    return draw_columns(SYSTEM_COLUMNS, rows, style)


def catalog_values(model: CatalogModel, available_bytes: float | None) -> dict[str, object]:
    """Return one model as values, units in their names."""
    structure = model.structure
    fits = levels_that_fit(structure, available_bytes)
    return {
        "model": model.name,
        "kind": structure.kind_word,
        "hf_id": model.hf_id,
        "license": model.license,
        "parameters": structure.parameters,
        "active_parameters": structure.active_parameters,
        "read_parameters": structure.read_parameters,
        "published_parameters": model.published_parameters,
        "size_class": size_class(structure.parameters),
        "table_parameters": structure.table_parameters,
        "max_context_tokens": structure.max_context_tokens,
        "kv_bytes_per_token": structure.kv_bytes_per_token(KV_BYTES_PER_VALUE) or None,
        "growing_kv_bytes_per_token": KV_BYTES_PER_VALUE * structure.growing_values_per_token
        or None,
        "window_kv_bytes": KV_BYTES_PER_VALUE * structure.window_values or None,
        "state_bytes": structure.state_bytes or None,
        "weights_bytes": {
            name: stored_model_bytes(structure, level) for name, level in LEVELS.items()
        },
        "built": structure.spec is not None,
        "fits": fits,
        "notes": [
            *model.notes,
            *([model.expected_delta_reason] * bool(model.expected_delta_reason)),
        ],
    }


def levels_that_fit(
    structure: ModelStructure, available_bytes: float | None, names: Collection[str] = LEVELS
) -> list[str] | None:
    """Return those levels whose estimated peak is within the memory; None where it is not known."""
    if available_bytes is None:
        return None
    return [name for name in names if _peak_bytes(structure, LEVELS[name]) <= available_bytes]


def seed_values(system: System) -> dict[str, object]:
    """Return one statement as values; null where the document says nothing."""
    return {
        "key": system.key,
        "name": system.name,
        "kind": system.kind,
        "document": system.document,
        "statement": system.statement,
        "stated": system.stated or None,
        "parameters": system.parameters,
        "threshold_parameters": system.threshold_parameters,
        "bound": system.bound or None,
        "model": next(iter(system.meant), None),
        "models": list(system.meant),
        "basis": system.basis or None,
        "makes": system.makes or None,
        "parts": [
            {"name": part.name, "parameters": part.parameters, "source": part.source}
            for part in system.parts
        ],
        "device": system.device or None,
        "answer": answer_to(system),
        "testable": system.testable or None,
        "note": system.note or None,
    }


def _count(system: System) -> int | None:
    """Return the parameters that a document states, or the bound that it gives."""
    return system.threshold_parameters if system.parameters is None else system.parameters


def _fits_text(structure: ModelStructure, available_bytes: float | None) -> str | None:
    """Return `all`, `none`, or the levels that fit, of those with a column."""
    shown = levels_that_fit(structure, available_bytes, TEXT_LEVELS)
    if shown is None:
        return None
    return {0: "none", len(TEXT_LEVELS): "all"}.get(len(shown), ", ".join(shown))


def _peak_bytes(structure: ModelStructure, level: QuantLevel) -> float:
    """Return the estimated peak of a short run."""
    return peak_memory(structure, level, prompt_tokens=FIT_TOKENS).peak_bytes
