"""Nodes of the mixers that keep a state of a fixed size instead of every key and value.

States are float32 at every level: they add up over all tokens. Where activations are float16, what
goes into a state's operator is cast before it and what comes out behind it; the CPU has no other
kernel. Channels come first in a state of a convolution, as onnxruntime-genai has it: with the two
transposes its kernel is as fast as the other at one token, and faster on a prompt.
"""

from typing import Any

import numpy as np
import onnx

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.mixing import Mixing
from harness.models.specs.layers import DeltaRule, Mamba

UNIT_EPSILON = 1e-6  # under the root of a head's length
FOLDED = "folded."  # before names of nodes over weights alone: loading a session computes them


def convolve(mixing: Mixing, values: str) -> str:
    """Add a short convolution between two gates (LFM2).

        b, c, x = values · in;  y = c · conv(b · x);  y · out

    Source: Lfm2ShortConv of transformers.
    """
    emitter, name = mixing.emitter, f"{mixing.prefix}.conv"
    projected = mixing.multiply("in", values)
    parts = [f"{name}.{letter}" for letter in "bcx"]
    emitter.add("Split", (projected,), parts[0], more_outputs=parts[1:], axis=-1, num_outputs=3)
    gated = as_float(mixing, emitter.add("Mul", (parts[0], parts[2]), f"{name}.gated"))
    sizes = mixing.spec.convolution
    convolved = _convolution(
        mixing, gated, name, f"{name}.conv", has_bias=sizes is not None and sizes.bias
    )
    convolved = as_activations(mixing, convolved)
    return mixing.multiply("out", emitter.add("Mul", (parts[1], convolved), f"{name}.mixed"))


def delta_rule(mixing: Mixing, values: str) -> str:
    """Add linear attention by the gated delta rule (Qwen3.5).

        q, k, v = silu(conv(values · in));  q and k to unit length per head
        g = -exp(A_log) · softplus(a + dt_bias);  beta = sigmoid(b)
        S = exp(g) · S + beta · k (v - exp(g) · S'k)';  o = S'q / sqrt(dk)
        y = norm(o) · silu(z) · out

    com.microsoft's LinearAttention, not GatedDeltaNet: the same numbers in a quarter of the time
    and less (onnxruntime 1.32.0, one CPU thread). Unit length is x / sqrt(sum x² + 1e-6), for which
    an RMS norm of epsilon 1e-6 / dk and weight 1 / sqrt(dk) is one node; LpNormalization has no
    epsilon and loses accuracy where q and k are small.
    Source: Qwen3_5GatedDeltaNet of transformers.
    """
    rule, emitter, number = mixing.spec.delta_rule, mixing.emitter, mixing.layer.number
    assert rule is not None  # checked with the pattern
    name = f"{mixing.prefix}.linear_attn"
    projected = as_float(mixing, mixing.multiply("in_proj_qkv", values))
    packed = _convolution(mixing, projected, name, f"{name}.conv1d", activation="silu")
    widths = emitter.constant(f"{name}.widths", [2 * rule.keys_width, rule.values_width])
    both = emitter.add(
        "Split", (packed, widths), f"{name}.qk", more_outputs=(f"{name}.v",), axis=-1
    )
    queries, keys = _unit_length(emitter, both, name, rule)
    rates = [as_float(mixing, mixing.multiply(f"in_proj_{one}", values)) for one in "ab"]
    decay = emitter.add(
        "LinearAttentionGate",
        (
            rates[0],
            as_float(mixing, f"{name}.dt_bias", folded=True),
            _decay(mixing, name),
            rates[1],
        ),
        f"{name}.decay",
        MICROSOFT,
        more_outputs=(f"{name}.beta",),
    )
    beta = f"{name}.beta"
    if rule.rate_scale != 1.0:
        factor = emitter.constant(f"{name}.rate_scale", rule.rate_scale, "float32")
        beta = emitter.add("Mul", (beta, factor), f"{name}.scaled_beta")
    attended = emitter.add(
        "LinearAttention",
        (queries, keys, f"{name}.v", f"past.{number}.recurrent", decay, beta),
        f"{name}.attended",
        MICROSOFT,
        more_outputs=(f"present.{number}.recurrent",),
        update_rule="gated_delta",
        q_num_heads=rule.key_heads,
        kv_num_heads=rule.value_heads,
        scale=rule.key_dim**-0.5,
    )
    gate = as_float(mixing, mixing.multiply("in_proj_z", values))
    weight = as_float(mixing, f"{name}.norm.weight", folded=True)
    normalised = emitter.add(
        "GatedRMSNorm",
        (attended, weight, gate),
        f"{name}.normalised",
        MICROSOFT,
        activation="silu",
        epsilon=rule.norm_epsilon or mixing.spec.norm_epsilon,
    )
    return mixing.multiply("out", as_activations(mixing, normalised))


def mamba(mixing: Mixing, values: str) -> str:
    """Add a Mamba-2 mixer (Granite 4 H, Falcon-H1, Nemotron-H).

        z, x, B, C, dt = values · in;  x, B, C = silu(conv(x, B, C) + bias);  dt = softplus(dt + b)
        h = exp(-exp(A_log) dt) h + B (dt x)';  y = C'h + D x;  norm(y · silu(z)) · out

    The recurrence is LinearAttention's rule `gated` with C as queries, B as keys and dt x as
    values; a scale of 1 is said, for 0 would mean 1 / sqrt(state). The gate comes before the norm,
    so GatedRMSNorm does not fit. Steps are not clamped from below: transformers clamps those of
    Nemotron in a prompt and not in single steps, so that its own two ways differ.
    Source: GraniteMoeHybridMambaLayer, FalconH1Mixer and NemotronHMamba2Mixer of transformers.
    """
    sizes, emitter, number = mixing.spec.mamba, mixing.emitter, mixing.layer.number
    assert sizes is not None  # checked with the pattern
    name = f"{mixing.prefix}.mamba"
    gate, convolved, steps = _projected(mixing, sizes, values, name)
    head, flat = [0, 0, sizes.heads, sizes.head_dim], [0, 0, sizes.inner_width]
    by_head = emitter.constant(f"{name}.by_head", head)
    flattened = emitter.constant(f"{name}.flat", flat)
    parts = [sizes.inner_width, sizes.group_width, sizes.group_width]
    emitter.add(
        "Split",
        (convolved, emitter.constant(f"{name}.parts", parts)),
        f"{name}.x",
        more_outputs=(f"{name}.B", f"{name}.C"),
        axis=-1,
    )
    heads = emitter.add("Reshape", (f"{name}.x", by_head), f"{name}.heads")
    axis = emitter.constant(f"{name}.axis", [3])
    by_step = emitter.add("Unsqueeze", (steps, axis), f"{name}.by_step")
    fed = emitter.add("Mul", (heads, by_step), f"{name}.fed")
    core = emitter.add(
        "LinearAttention",
        (
            *(f"{name}.C", f"{name}.B"),
            emitter.add("Reshape", (fed, flattened), f"{name}.fed_flat"),
            f"past.{number}.recurrent",
            emitter.add("Mul", (steps, _decay(mixing, name)), f"{name}.decay"),
        ),
        f"{name}.core",
        MICROSOFT,
        more_outputs=(f"present.{number}.recurrent",),
        update_rule="gated",
        q_num_heads=sizes.groups,
        kv_num_heads=sizes.heads,
        scale=1.0,
    )
    core = emitter.add("Reshape", (core, by_head), f"{name}.core_heads")
    skipped = emitter.add("Mul", (heads, _skip(mixing, name)), f"{name}.skipped")
    summed = emitter.add("Add", (core, skipped), f"{name}.summed")
    summed = emitter.add("Reshape", (summed, flattened), f"{name}.summed_flat")
    share = emitter.add("Sigmoid", (gate,), f"{name}.share")
    silu = emitter.add("Mul", (gate, share), f"{name}.silu")
    if sizes.gated_norm and sizes.norm_first:
        summed = _norm_of_groups(mixing, sizes, summed, name)
    gated = emitter.add("Mul", (summed, silu), f"{name}.gated")
    if sizes.gated_norm and not sizes.norm_first:
        gated = _norm_of_groups(mixing, sizes, gated, name)
    return mixing.multiply("out", as_activations(mixing, gated))


def _projected(mixing: Mixing, sizes: Mamba, values: str, name: str) -> tuple[str, str, str]:
    """Add the projection, the convolution and the steps: gate, x B C, and dt, all float32."""
    emitter = mixing.emitter
    projected = as_float(mixing, mixing.multiply("in", values))
    widths = [sizes.inner_width, sizes.convolved_width, sizes.heads]
    gate, packed, raw = f"{name}.z", f"{name}.xBC", f"{name}.dt"
    split = (projected, emitter.constant(f"{name}.widths", widths))
    emitter.add("Split", split, gate, more_outputs=(packed, raw), axis=-1)
    convolved = _convolution(
        mixing, packed, name, f"{name}.conv1d", activation="silu", has_bias=sizes.taps_bias
    )
    bias = as_float(mixing, f"{name}.dt_bias", folded=True)
    raised = emitter.add("Add", (raw, bias), f"{name}.dt_raised")
    return gate, convolved, emitter.add("Softplus", (raised,), f"{name}.steps")


def _skip(mixing: Mixing, name: str) -> str:
    """Add D as [heads, 1], of weights alone."""
    axis = mixing.emitter.constant(f"{name}.skip_axis", [1])
    weights = as_float(mixing, f"{name}.D", folded=True)
    return mixing.emitter.add("Unsqueeze", (weights, axis), f"{FOLDED}{name}.skip")


def _norm_of_groups(mixing: Mixing, sizes: Mamba, values: str, name: str) -> str:
    """Add the RMS norm of each group, with one weight per value."""
    emitter, groups, width = mixing.emitter, sizes.groups, sizes.inner_width
    attributes: dict[str, Any] = {"axis": -1, "epsilon": mixing.spec.norm_epsilon, "stash_type": 1}
    weight = as_float(mixing, f"{name}.norm.weight", folded=True)
    operator = "SimplifiedLayerNormalization"
    if groups == 1:
        return emitter.add(operator, (values, weight), f"{name}.normalised", **attributes)
    apart = emitter.constant(f"{name}.by_group", [0, 0, groups, width // groups])
    flat = emitter.constant(f"{name}.from_groups", [0, 0, width])
    ones = emitter.constant(f"{name}.ones", np.ones(width // groups), "float32")
    by_group = emitter.add("Reshape", (values, apart), f"{name}.grouped")
    unit = emitter.add(operator, (by_group, ones), f"{name}.unit", **attributes)
    unit = emitter.add("Reshape", (unit, flat), f"{name}.unit_flat")
    return emitter.add("Mul", (unit, weight), f"{name}.normalised")


def _unit_length(emitter: Emitter, both: str, name: str, rule: DeltaRule) -> tuple[str, str]:
    """Add what brings each head of queries and keys, side by side, to unit length."""
    by_head = emitter.constant(f"{name}.by_head", [0, 0, 2 * rule.key_heads, rule.key_dim])
    flat = emitter.constant(f"{name}.flat", [0, 0, 2 * rule.keys_width])
    share = np.full(rule.key_dim, rule.key_dim**-0.5)
    weight = emitter.constant(f"{name}.unit", share, "float32")
    heads = emitter.add("Reshape", (both, by_head), f"{name}.heads")
    unit = emitter.add(
        "SimplifiedLayerNormalization",
        (heads, weight),
        f"{name}.unit_heads",
        axis=-1,
        epsilon=UNIT_EPSILON / rule.key_dim,
        stash_type=1,
    )
    side_by_side = emitter.add("Reshape", (unit, flat), f"{name}.unit_flat")
    key = f"{name}.k"
    query = emitter.add(
        "Split", (side_by_side,), f"{name}.q", more_outputs=(key,), axis=-1, num_outputs=2
    )
    return query, key


def _decay(mixing: Mixing, name: str) -> str:
    """Add -exp(A_log), of weights alone."""
    logarithm = as_float(mixing, f"{name}.A_log", folded=True)
    rate = mixing.emitter.add("Exp", (logarithm,), f"{FOLDED}{name}.rate")
    return mixing.emitter.add("Neg", (rate,), f"{FOLDED}{name}.decay_scale")


def _convolution(
    mixing: Mixing,
    values: str,
    name: str,
    weights: str,
    *,
    activation: str = "none",
    has_bias: bool = False,
) -> str:
    """Add a causal convolution of each channel over the tokens, and over those before in its state.

    Args:
        mixing: the layer; its state `conv` is [batch, channels, taps - 1].
        values: float32 [batch, tokens, channels].
        name: before the names of its nodes.
        weights: its taps are `weights.weight`.
        activation: `silu` or `none`.
        has_bias: whether `weights.bias` is added before it.

    Returns:
        float32 [batch, tokens, channels].
    """
    emitter, number = mixing.emitter, mixing.layer.number
    taps = as_float(mixing, f"{weights}.weight", folded=True)
    bias = as_float(mixing, f"{weights}.bias", folded=True) if has_bias else ""
    turned = emitter.add("Transpose", (values,), f"{name}.turned", perm=[0, 2, 1])
    convolved = emitter.add(
        "CausalConvWithState",
        (turned, taps, bias, f"past.{number}.conv"),
        f"{name}.convolved",
        MICROSOFT,
        more_outputs=(f"present.{number}.conv",),
        activation=activation,
    )
    return emitter.add("Transpose", (convolved,), f"{name}.by_token", perm=[0, 2, 1])


def as_float(mixing: Mixing, values: str, *, folded: bool = False) -> str:
    """Return values or weights in float32: themselves, or cast where the level computes in half."""
    if mixing.levels.base.float_dtype == "float32":
        return values
    name = f"{FOLDED}{values}" if folded else f"{values}.float"
    return mixing.emitter.add("Cast", (values,), name, to=onnx.TensorProto.FLOAT)


def as_activations(mixing: Mixing, values: str) -> str:
    """Return float32 values in the type of the activations."""
    if mixing.levels.base.float_dtype == "float32":
        return values
    return mixing.emitter.add("Cast", (values,), f"{values}.half", to=onnx.TensorProto.FLOAT16)
