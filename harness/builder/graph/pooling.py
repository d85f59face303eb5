"""From the vectors of an encoder's tokens to what leaves it for a text: an embedding, or scores."""

import onnx

from harness.builder.graph.emitter import Emitter
from harness.builder.graph.geometry import EMBEDDING, HIDDEN, SCORES
from harness.builder.graph.matrix import Matrix, multiply
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import TextSpec
from harness.models.specs.tensors import dense_name


def dense_matrices(spec: TextSpec) -> dict[str, Matrix]:
    """Return the matrices that a pooled vector passes, by name, in this order."""
    matrices, width = {}, spec.hidden_size
    for place, dense in enumerate(spec.dense):
        name = dense_name(place)
        matrices[name] = Matrix(name, dense.outputs, width, has_bias=dense.bias)
        width = dense.outputs
    return matrices


def add_pooling(emitter: Emitter, spec: TextSpec, level: QuantLevel) -> None:
    """Add everything behind `last_hidden_state` [batch, tokens, hidden], which is float32.

    The output is `sentence_embedding` [batch, width], of length 1; or `logits` [batch, scores].
    """
    vector = _POOL[spec.pooling](emitter)
    if spec.dense:
        vector = _pass_dense(emitter, spec, level, _divided(emitter, spec, vector))
    if not spec.scores:
        emitter.add("LpNormalization", (vector,), EMBEDDING, axis=-1, p=2)
        return
    emitter.nodes[-1].output[0] = SCORES


def _pass_dense(emitter: Emitter, spec: TextSpec, level: QuantLevel, vector: str) -> str:
    """Add the dense layers, in the float type of the level; takes and returns float32."""
    is_half = level.float_dtype == "float16"
    if is_half:
        vector = emitter.add("Cast", (vector,), "dense.half", to=onnx.TensorProto.FLOAT16)
    for dense, (name, matrix) in zip(spec.dense, dense_matrices(spec).items(), strict=True):
        vector = multiply(emitter, matrix, vector, level)
        if dense.activation != "identity":
            operator = _ACTIVATIONS[dense.activation]
            vector = emitter.add(operator, (vector,), f"{name}.{dense.activation}")
        if dense.norm:
            inputs = (vector, f"{name}.norm.weight")
            vector = emitter.add(
                "LayerNormalization", inputs, f"{name}.normalised", axis=-1, epsilon=_epsilon(spec)
            )
    if is_half:
        vector = emitter.add("Cast", (vector,), "dense.float", to=onnx.TensorProto.FLOAT)
    return vector


def _epsilon(spec: TextSpec) -> float:
    """Of a norm between dense layers: that of all others."""
    return spec.norm_epsilon


_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "gelu": "Gelu"}


def _mean(emitter: Emitter) -> str:
    """Add the sum of the seen tokens' vectors: as long as it is scaled to length 1, their mean."""
    seen = emitter.add("Cast", ("attention_mask",), "pool.seen", to=onnx.TensorProto.FLOAT)
    axis = emitter.constant("pool.axis", [1])
    row = emitter.add("Unsqueeze", (seen, axis), "pool.row")
    total = emitter.add("MatMul", (row, HIDDEN), "pool.total")
    return emitter.add("Squeeze", (total, axis), "pool.vector")


def _divided(emitter: Emitter, spec: TextSpec, vector: str) -> str:
    """Add the division of a sum by the number of seen tokens: a bias is added to a true mean."""
    if spec.pooling != "mean":
        return vector
    tokens = emitter.add("ReduceSum", ("pool.seen", "pool.axis"), "pool.tokens", keepdims=1)
    return emitter.add("Div", (vector, tokens), "pool.mean")


def _first(emitter: Emitter) -> str:
    """Add the first token's vector."""
    first = emitter.constant("pool.first", 0)
    return emitter.add("Gather", (HIDDEN, first), "pool.vector", axis=1)


def _last(emitter: Emitter) -> str:
    """Add the vector of the last token that is seen, wherever a text is filled up.

    The largest of position · mask is its position.
    """
    axis, one = emitter.constant("pool.axis", [1]), emitter.constant("pool.one", 1)
    zero = emitter.constant("pool.zero", 0)
    shape = emitter.add("Shape", ("attention_mask",), "pool.shape")
    tokens = emitter.add("Gather", (shape, one), "pool.length")
    numbers = emitter.add("Range", (zero, tokens, one), "pool.numbers")
    seen = emitter.add("Mul", ("attention_mask", numbers), "pool.seen")
    last = emitter.add("ReduceMax", (seen, axis), "pool.last", keepdims=1)
    return emitter.add("GatherND", (HIDDEN, last), "pool.vector", batch_dims=1)


_POOL = {"mean": _mean, "cls": _first, "last": _last}
