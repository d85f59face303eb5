"""The shapes that a static model is built for: they follow from the tests that it runs."""

from collections.abc import Iterable

from harness.builder.graph.static.geometry import EncoderShapes, StaticShapes, TextShape
from harness.engine.workload import Workload

PASS_TOKENS = 128  # most that a prefill graph reads at once; longer prompts are several passes
CAPACITY_STEP_TOKENS = 64  # a cache has so many positions, or a multiple: plans share builds


def static_shapes(workloads: Iterable[Workload], longest_tokens: int) -> StaticShapes:
    """Return the shapes of one build that serves every test of a model.

    The cache has room for the longest test: a step reads all of it, whatever it holds. A pass is as
    long as the longest prompt, or PASS_TOKENS.

    Args:
        workloads: at least one.
        longest_tokens: the longest sequence that the model takes.
    """
    tests = tuple(workloads)
    needed = max(test.context_tokens for test in tests)
    capacity = -(-needed // CAPACITY_STEP_TOKENS) * CAPACITY_STEP_TOKENS
    prompt = max(test.prompt_tokens for test in tests) or PASS_TOKENS
    capacity = max(2, min(capacity, longest_tokens))
    return StaticShapes(max(2, min(prompt, PASS_TOKENS, capacity)), capacity)


def encoder_shapes(workloads: Iterable[Workload]) -> EncoderShapes:
    """Return the shapes of one build that has a graph for every test of an encoder."""
    shapes = {TextShape(test.prompt_tokens, test.sequences) for test in workloads}
    return EncoderShapes(tuple(sorted(shapes)))
