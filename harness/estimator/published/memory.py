"""Peak memory of a model under a runtime on a catalog device."""

from dataclasses import replace

from harness.builder.quantize.levels import QuantLevel
from harness.estimator.memory import ANY_ENGINE, MemoryBreakdown, MemoryTerm, peak_memory
from harness.estimator.published.amounts import model_file_bytes
from harness.models.specs.structure import ModelStructure

RUNTIME_TERMS = ("runtime", "weights as held")  # told by the runtime's file and its own constants


def counted_memory(
    model: ModelStructure,
    level: QuantLevel,
    runtime: str | None,
    *,
    prompt_tokens: int,
    depth_tokens: int = 0,
    gen_tokens: int = 0,
    capacity_tokens: int = 0,
    batch: int = 1,
) -> MemoryBreakdown:
    """Return what must be held, without what the runtime takes: the file, caches, activations.

    The cache has 16 bit, as nearly every runtime's.
    """
    counted = peak_memory(
        model,
        replace(level, float_bytes=2),
        prompt_tokens=prompt_tokens,
        depth_tokens=depth_tokens,
        gen_tokens=gen_tokens,
        capacity_tokens=capacity_tokens,
        batch=batch,
        runtime=ANY_ENGINE,
    )
    kept = [term for term in counted.terms if term.name not in RUNTIME_TERMS]
    weights = MemoryTerm("weights", model_file_bytes(model, level, runtime))
    terms = sorted((weights, *kept), key=lambda term: -term.resident_bytes)
    return MemoryBreakdown(tuple(terms), runtime or "its runtime")
