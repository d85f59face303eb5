"""What a model weighs: in the file, per token of cache, and in memory."""

from dataclasses import dataclass

from harness.estimator.case import Case, stored_bits
from harness.estimator.held import stored_model_bytes
from harness.estimator.memory import MemoryBreakdown, MemoryTerm, peak_memory
from harness.estimator.parameters import weights_bytes


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a case.

    Attributes:
        weights_bytes: in the file, scales included.
        kv_bytes_per_token: one token adds to the cache; None: not known.
        memory: the estimated peak and its parts.
        available_bytes: that the device leaves.
    """

    weights_bytes: float
    kv_bytes_per_token: int | None
    memory: MemoryBreakdown
    available_bytes: float

    @property
    def fits(self) -> bool:
        """Whether the peak is within what is available."""
        return self.memory.peak_bytes <= self.available_bytes


def case_sizes(case: Case) -> Sizes:
    """Return the bytes of a case; of a bare count only its weights and the runtime."""
    anatomy, level, lengths = case.target.anatomy, case.level, case.lengths
    available = case.budget.available_bytes
    if anatomy is None:
        weights = weights_bytes(case.target.parameters, stored_bits(level))
        runtime = MemoryTerm("runtime", float(case.runtime.base_bytes))
        memory = MemoryBreakdown((MemoryTerm("weights", weights), runtime), case.runtime.name)
        return Sizes(weights, None, memory, available)
    memory = peak_memory(
        anatomy,
        level,
        prompt_tokens=lengths.prompt_tokens,
        depth_tokens=lengths.depth_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )
    kv_bytes = anatomy.kv_bytes_per_token(level.float_bytes)
    return Sizes(float(stored_model_bytes(anatomy, level)), kv_bytes, memory, available)
