"""Rows of `bench models`: a catalog model or a system of the documents, as text and as values."""

from harness.builder.quantize.levels import LEVELS, QuantLevel
from harness.core.units import KIB, MIB
from harness.estimator.held import stored_model_bytes
from harness.estimator.memory import peak_memory
from harness.models.catalog.catalog import CatalogModel
from harness.models.catalog.systems import System, size_class
from harness.models.specs.structure import Anatomy
from harness.report.grid import MISSING

SEED_HEADER = ("key", "name", "kind", "document", "parameters", "stated", "runs as", "note")
FIT_TOKENS = 128  # prompt that must fit beside the weights
TEXT_LEVELS = ("fp32", "fp16", "int8", "int4", "int2")  # columns of the text; JSON has them all
KV_BYTES_PER_VALUE = 4  # the cache of built models is fp32 at every level but fp16


def catalog_header() -> list[str]:
    """Return the names of the columns; one for each of a few levels."""
    counts = ["model", "kind", "parameters", "active", "read", "class", "tables %"]
    return [*counts, "KV KiB/token", *(f"{name} MiB" for name in TEXT_LEVELS), "built", "fits"]


def catalog_row(model: CatalogModel, available_bytes: float | None) -> list[str]:
    """Return one model as text."""
    anatomy = model.anatomy
    counts = (anatomy.parameters, anatomy.active_parameters, anatomy.read_parameters)
    kv_bytes = anatomy.kv_bytes_per_token(KV_BYTES_PER_VALUE)
    return [
        model.name,
        anatomy.kind,
        *(f"{count:,}" for count in counts),
        size_class(anatomy.parameters),
        f"{100 * anatomy.table_parameters / anatomy.parameters:.0f}",
        f"{kv_bytes / KIB:g}" if kv_bytes else MISSING,
        *(f"{stored_model_bytes(anatomy, LEVELS[name]) / MIB:,.0f}" for name in TEXT_LEVELS),
        "yes" if anatomy.spec is not None else "no",
        _fits_text(anatomy, available_bytes),
    ]


def catalog_values(model: CatalogModel, available_bytes: float | None) -> dict[str, object]:
    """Return one model as values, units in their names."""
    anatomy = model.anatomy
    fits = levels_that_fit(anatomy, available_bytes)
    return {
        "model": model.name,
        "kind": anatomy.kind,
        "hf_id": model.hf_id,
        "license": model.license,
        "parameters": anatomy.parameters,
        "active_parameters": anatomy.active_parameters,
        "read_parameters": anatomy.read_parameters,
        "published_parameters": model.published_parameters,
        "size_class": size_class(anatomy.parameters),
        "table_parameters": anatomy.table_parameters,
        "max_context_tokens": anatomy.max_context_tokens,
        "kv_bytes_per_token": anatomy.kv_bytes_per_token(KV_BYTES_PER_VALUE) or None,
        "weights_bytes": {
            name: stored_model_bytes(anatomy, level) for name, level in LEVELS.items()
        },
        "built": anatomy.spec is not None,
        "fits": fits,
        "notes": [
            *model.notes,
            *([model.expected_delta_reason] * bool(model.expected_delta_reason)),
        ],
    }


def levels_that_fit(anatomy: Anatomy, available_bytes: float | None) -> list[str] | None:
    """Return the levels whose estimated peak is within the memory; None where that is not known."""
    if available_bytes is None:
        return None
    return [
        name for name, level in LEVELS.items() if _peak_bytes(anatomy, level) <= available_bytes
    ]


def seed_row(system: System) -> list[str]:
    """Return one statement of a document as text."""
    count = system.parameters if system.parameters is not None else system.threshold_parameters
    return [
        system.key,
        system.name,
        system.kind,
        system.document,
        MISSING if count is None else f"{count:,}",
        system.stated or MISSING,
        system.model or system.device or MISSING,
        system.note or MISSING,
    ]


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
        "model": system.model or None,
        "device": system.device or None,
        "testable": system.testable or None,
        "note": system.note or None,
    }


def _fits_text(anatomy: Anatomy, available_bytes: float | None) -> str:
    """Return `all`, `none`, or the levels that fit, of those with a column."""
    fits = levels_that_fit(anatomy, available_bytes)
    if fits is None:
        return MISSING
    shown = [name for name in fits if name in TEXT_LEVELS]
    return {0: "none", len(TEXT_LEVELS): "all"}.get(len(shown), ", ".join(shown))


def _peak_bytes(anatomy: Anatomy, level: QuantLevel) -> float:
    """Return the estimated peak of a short run."""
    return peak_memory(anatomy, level, prompt_tokens=FIT_TOKENS).peak_bytes
