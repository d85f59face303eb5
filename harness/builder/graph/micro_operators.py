"""Micro-graphs of the operators that not every decoder has: recurrences, convolutions, experts."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.micro import write_graph
from harness.builder.quantize.layout import expert_arrays
from harness.builder.quantize.levels import Form, QuantLevel
from harness.models.specs.layers import DeltaRule, Mamba

_FLOAT = onnx.TensorProto.FLOAT
_port = helper.make_tensor_value_info
_GATED: dict[str, Any] = {"activation": "silu", "epsilon": 1e-6}


def write_delta_rules(path: Path, rule: DeltaRule, layers: int) -> None:
    """Write recurrences by the gated delta rule, each with a state and a gated norm of its own.

    The norm is among them because its sigmoid is slow: 40 ns a value, as long as a head's state.

    Inputs `query`, `key`, `value`, `decay`, `beta` [1, tokens, width], which all layers share, and
    `past.N` [1, heads, key_dim, value_dim]; outputs `given.N` and `present.N`.
    """
    widths = {
        "query": rule.keys_width,
        "key": rule.keys_width,
        "value": rule.values_width,
        "decay": rule.value_heads,
        "beta": rule.value_heads,
    }
    state = [1, rule.value_heads, rule.key_dim, rule.value_dim]
    attributes = {
        "update_rule": "gated_delta",
        "q_num_heads": rule.key_heads,
        "kv_num_heads": rule.value_heads,
        "scale": rule.key_dim**-0.5,
    }
    _write_recurrences(path, widths, state, layers, attributes, normed=rule.value_dim)


def write_mambas(path: Path, mamba: Mamba, layers: int) -> None:
    """Write recurrences of Mamba-2; ports as those of write_delta_rules, without `beta`."""
    widths = {
        "query": mamba.group_width,
        "key": mamba.group_width,
        "value": mamba.inner_width,
        "decay": mamba.heads,
    }
    state = [1, mamba.heads, mamba.state_dim, mamba.head_dim]
    attributes = {
        "update_rule": "gated",
        "q_num_heads": mamba.groups,
        "kv_num_heads": mamba.heads,
        "scale": 1.0,
    }
    _write_recurrences(path, widths, state, layers, attributes)


def _write_recurrences(
    path: Path,
    widths: dict[str, int],
    state: list[int],
    layers: int,
    attributes: dict[str, Any],
    normed: int = 0,
) -> None:
    """Write `layers` recurrences over the same inputs, and norms of heads so wide behind them."""
    emitter, inputs, outputs = Emitter(), [], []
    weight = emitter.constant("norm.weight", np.ones(normed), "float32") if normed else ""
    for name, width in widths.items():
        inputs.append(_port(name, _FLOAT, [1, "tokens", width]))
    for layer in range(layers):
        names = ["query", "key", "value", f"past.{layer}", "decay", "beta"][: len(widths) + 1]
        more = (f"present.{layer}",)
        name = f"core.{layer}" if normed else f"given.{layer}"
        emitter.add("LinearAttention", names, name, MICROSOFT, more, **attributes)
        if normed:
            gated = (name, weight, "value")
            emitter.add("GatedRMSNorm", gated, f"given.{layer}", MICROSOFT, **_GATED)
        inputs.append(_port(f"past.{layer}", _FLOAT, state))
        outputs.append(_port(f"given.{layer}", _FLOAT, [1, "tokens", widths["value"]]))
        outputs.append(_port(f"present.{layer}", _FLOAT, state))
    write_graph(path, emitter, inputs, outputs, [])


def write_convolutions(path: Path, channels: int, taps: int, layers: int) -> None:
    """Write short convolutions between two transposes, as a mixer has them.

    Input `values` [1, tokens, channels] and `past.N` [1, channels, taps - 1]; outputs `given.N` and
    `present.N`.
    """
    emitter, state = Emitter(), [1, channels, taps - 1]
    inputs, outputs, weights = [_port("values", _FLOAT, [1, "tokens", channels])], [], []
    for layer in range(layers):
        taken = np.full((channels, 1, taps), 1 / (layer + taps), np.float32)
        weights.append(numpy_helper.from_array(taken, f"taps.{layer}"))
        turned = emitter.add("Transpose", ("values",), f"turned.{layer}", perm=[0, 2, 1])
        convolved = emitter.add(
            "CausalConvWithState",
            (turned, f"taps.{layer}", "", f"past.{layer}"),
            f"convolved.{layer}",
            MICROSOFT,
            (f"present.{layer}",),
            activation="silu",
        )
        emitter.add("Transpose", (convolved,), f"given.{layer}", perm=[0, 2, 1])
        inputs.append(_port(f"past.{layer}", _FLOAT, state))
        outputs.append(_port(f"given.{layer}", _FLOAT, [1, "tokens", channels]))
        outputs.append(_port(f"present.{layer}", _FLOAT, state))
    write_graph(path, emitter, inputs, outputs, weights)


def write_experts(
    path: Path, level: QuantLevel, widths: tuple[int, int], experts: int, layers: int
) -> None:
    """Write mixtures one behind the other, each token in all of their experts.

    Input `hidden` and output `product` [1, tokens, hidden] of the level's float type.

    Args:
        path: of the graph.
        level: whose body format the experts take.
        widths: of the stream and of one expert.
        experts: of each mixture.
        layers: mixtures.
    """
    hidden, wide = widths
    generator = np.random.Generator(np.random.SFC64(0))
    emitter, weights, stream = Emitter(), [], "hidden"
    for layer in range(layers):
        router = generator.standard_normal((hidden, experts)) * hidden**-0.5
        weights.append(numpy_helper.from_array(router.astype(level.float_dtype), f"router.{layer}"))
        routed = emitter.add("MatMul", (stream, f"router.{layer}"), f"routed.{layer}")
        shape = emitter.constant(f"shape.{layer}", [-1, experts])
        scores = emitter.add("Reshape", (routed, shape), f"scores.{layer}")
        stacks = []
        for name, outputs, inputs in (("up", 2 * wide, hidden), ("down", hidden, wide)):
            arrays = _stacked(generator, level, (experts, outputs, inputs))
            names = {end: f"{name}.{layer}.{end}" for end in arrays}
            weights += [numpy_helper.from_array(arrays[end], names[end]) for end in arrays]
            stacks.append(names)
        stream = _mixed(emitter, level, (stream, scores), stacks, experts, f"mixed.{layer}")
    emitter.nodes[-1].output[0] = "product"
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(level.float_dtype))
    ports = [_port(name, kind, [1, "tokens", hidden]) for name in ("hidden", "product")]
    write_graph(path, emitter, ports[:1], ports[1:], weights)


def _mixed(
    emitter: Emitter,
    level: QuantLevel,
    read: tuple[str, str],
    stacks: list[dict[str, str]],
    active: int,
    output: str,
) -> str:
    """Add one mixture as harness.builder.graph.block does."""
    common: dict[str, Any] = {
        "k": active,
        "activation_type": "swiglu",
        "swiglu_fusion": 1,
        "activation_alpha": 1.0,
        "activation_beta": 0.0,
        "normalize_routing_weights": 1,
    }
    (up, down), form = stacks, level.body
    if form.form is Form.FLOAT:
        arrays = (up["weight"], "", down["weight"])
        return emitter.add("MoE", (*read, *arrays), output, MICROSOFT, **common)
    blocks: dict[str, Any] = {"block_size": form.block_weights} if form.form is Form.BLOCK else {}
    pairs = [(one["quantized"], one["scales"], "") for one in stacks]
    zeros = [one.get("zero_points", "") for one in stacks]
    inputs = (*read, *pairs[0], *pairs[1], "", "", "", *zeros)
    return emitter.add(
        "QMoE",
        inputs,
        output,
        MICROSOFT,
        expert_weight_bits=form.bits,
        accuracy_level=form.accuracy_level,
        **blocks,
        **common,
    )


def _stacked(
    generator: np.random.Generator, level: QuantLevel, shape: tuple[int, int, int]
) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of the experts' weights [experts, outputs, inputs] as a level stores them."""
    count, outputs, inputs = shape
    found: dict[str, npt.NDArray[Any]] = {}
    for array in expert_arrays(count * outputs, inputs, level, level.body):
        values = int(np.prod(array.shape)) // (count * outputs)
        is_row_scale = array.suffix == "scales" and len(array.shape) == 1
        size = (count, outputs) if is_row_scale else (count, outputs, values)
        if array.dtype == "uint8":
            found[array.suffix] = generator.integers(0, 256, size, np.uint8)
        else:
            drawn = np.abs(generator.standard_normal(size, dtype=np.float32)) * inputs**-0.5 / 8
            found[array.suffix] = drawn.astype(array.dtype)
    return found
