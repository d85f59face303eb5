"""What is added to the scores of an encoder's attention, so that some tokens are not seen."""

import onnx

from harness.builder.graph.emitter import Emitter
from harness.builder.quantize.levels import QuantLevel

UNSEEN_SCORE = -10_000.0  # what ONNX Runtime's attention adds for a masked token; fits float16


def hide_unseen(emitter: Emitter, level: QuantLevel) -> str:
    """Add what is added to every score: [batch, 1, tokens, tokens], 0 where a token is seen.

    The attention operator can take the mask itself, and then makes this of it in every layer, with
    the same number; but the WebGPU provider's takes none.
    """
    seen = emitter.add("Cast", ("attention_mask",), "mask.seen", to=onnx.TensorProto.BOOL)
    shown = emitter.constant("mask.shown", 0, level.float_dtype)
    hidden = emitter.constant("mask.hidden", UNSEEN_SCORE, level.float_dtype)
    scores = emitter.add("Where", (seen, shown, hidden), "mask.scores")
    axes = emitter.constant("mask.axes", [1, 2])
    row = emitter.add("Unsqueeze", (scores, axes), "mask.row")
    tokens = emitter.add("Shape", ("attention_mask",), "mask.tokens", start=1)
    one, two = emitter.constant("mask.one", [1]), emitter.constant("mask.two", [1, 1])
    shape = emitter.add("Concat", (two, tokens, one), "mask.shape", axis=0)
    return emitter.add("Expand", (row, shape), "mask")


def hide_far(emitter: Emitter, level: QuantLevel, mask: str, reach_tokens: int) -> str:
    """Add the same of a layer with a window: tokens that are further off are not seen either.

    Args:
        emitter: takes the nodes.
        level: whose float type the scores have.
        mask: as hide_unseen gave it.
        reach_tokens: how far a token sees to each side.
    """
    zero, one = emitter.constant("window.first", 0), emitter.constant("window.step", 1)
    shape = emitter.add("Shape", ("attention_mask",), "window.shape")
    tokens = emitter.add("Gather", (shape, one), "window.tokens")
    row = emitter.add("Range", (zero, tokens, one), "window.numbers")
    axis = emitter.constant("window.axis", [1])
    column = emitter.add("Unsqueeze", (row, axis), "window.column")
    apart = emitter.add("Sub", (column, row), "window.apart")
    distance = emitter.add("Abs", (apart,), "window.distance")
    reach = emitter.constant("window.reach", reach_tokens)
    near = emitter.add("LessOrEqual", (distance, reach), "window.near")
    hidden = emitter.constant("window.hidden", UNSEEN_SCORE, level.float_dtype)
    return emitter.add("Where", (near, mask, hidden), "window.mask")
