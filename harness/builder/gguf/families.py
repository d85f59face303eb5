"""What a family of decoders is to llama.cpp: its word, keys and tensors, and what it cannot say.

A spec is written only where llama.cpp's architecture computes all that the spec says; everything
else is refused by the name of the field, so that no file computes something else in silence.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import singledispatch
from typing import Any

from harness.core.errors import ModelError
from harness.models.specs.layers import KINDS
from harness.models.specs.model import AnySpec, ModelSpec, RopeScaling

Keys = Mapping[str, Any]  # of a header, without the architecture before them
YARN = "yarn"
# What llama.cpp takes for yarn: turns that are kept and divided, and bounds of whole pairs.
YARN_FAST, YARN_SLOW = 32.0, 1.0
# Fields that say nothing of what is computed, or that lie in the weights once they are read.
_FREE = frozenset(
    {"norm_epsilon", "part_of", "published_parameters", "expected_delta", "hf_id", "license"}
    | {"expected_delta_reason", "source", "residual_multiplier", "logit_multiplier"}
    | {"part_multipliers"}
)
_ANY: tuple[Any, ...] = ()  # of a field whose value is written, or cannot matter


@dataclass(frozen=True, slots=True)
class GgufFamily:
    """One family.

    Attributes:
        architecture: llama.cpp's word.
        takes: fields of a spec that may differ from Llama's -> the values that are computed; none
            named: any.
        pairs: rotary positions turn neighbours there, so that rows of queries and keys are put
            into that order.
        packed: matrices that lie in one, one below the other -> ours.
        names: tensors that are called otherwise than in Llama: ours -> theirs.
        keys: of the header, beside those of every family.
        problem: of a spec whose fields are all taken, what it says that is not computed.
        window: attention sees the last tokens only, as the spec says; without it tests must end
            within the window.
        tied: whether the head must be the embedding (true), must not (false), or may (None).
    """

    architecture: str
    takes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    pairs: bool = False
    packed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    keys: Callable[[ModelSpec], Keys] = lambda _spec: {}
    problem: Callable[[ModelSpec], str | None] = lambda _spec: None
    window: bool = False
    tied: bool | None = None


def _windows(spec: ModelSpec) -> Keys:
    """Return window, which layers have it, and the base of their rotary positions."""
    every = spec.full_attention_every
    theta = spec.local_rope_theta or spec.rope_theta
    keys: dict[str, Any] = {"attention.sliding_window": spec.sliding_window_tokens or 0}
    if spec.sliding_window_tokens:
        pattern = [layer.window_tokens is not None for layer in spec.layers]
        keys["attention.sliding_window_pattern"] = every or pattern
    return keys | {"rope.freq_base_swa": float(theta)}


def _caps(spec: ModelSpec) -> Keys:
    """Return the caps of scores and logits, and the windows."""
    caps = {
        "attn_logit_softcapping": spec.attention_softcap,
        "final_logit_softcapping": spec.logit_softcap,
    }
    return {key: float(cap) for key, cap in caps.items() if cap} | dict(_windows(spec))


def _steps_of_windows(spec: ModelSpec) -> Keys:
    """Return which layers have a window, and which turn queries and keys, layer by layer."""
    return {
        "attention.sliding_window": spec.sliding_window_tokens or spec.max_context_tokens,
        "attention.sliding_window_pattern": [
            layer.window_tokens is not None for layer in spec.layers
        ],
        "attention.rope_pattern": [layer.rotary for layer in spec.layers],
        **_granite(spec),
    }


def _layer_heads(spec: ModelSpec) -> Keys:
    """Return the taps of convolutions; layers of them have no heads of keys."""
    heads = [layer.num_kv_heads if layer.attends else 0 for layer in spec.layers]
    taps = spec.convolution.kernel if spec.convolution is not None else 0
    return {"attention.head_count_kv": heads, "shortconv.l_cache": taps}


def _centered(spec: ModelSpec) -> Keys:
    """Return the epsilon of norms that subtract the mean."""
    return {"attention.layer_norm_epsilon": spec.norm_epsilon}


def _growing(spec: ModelSpec) -> Keys:
    """Return how queries grow beyond the context first trained with."""
    growth = 0.0 if spec.rope_scaling is None else spec.rope_scaling.query_growth
    return {"attention.temperature_scale": growth} if growth else {}


def _one_base(spec: ModelSpec) -> str | None:
    """Refuse another rotary base in layers with a window."""
    local = spec.local_rope_theta or spec.rope_theta
    return None if local == spec.rope_theta else f"no other rotary base in windows: {local:g}"


def _no_layer_bases(spec: ModelSpec) -> str | None:
    """Refuse layers that turn at a base of their own."""
    others = [base for base in spec.layer_thetas if base not in (0, spec.rope_theta)]
    return f"no rotary base of single layers: {others[0]:g}" if others else None


def _plain_taps(spec: ModelSpec) -> str | None:
    """Refuse convolutions with biases."""
    has_bias = spec.convolution is not None and spec.convolution.bias
    return "no convolution with biases" if has_bias else None


def _granite(spec: ModelSpec) -> Keys:
    """Return the multipliers that do not lie in the weights."""
    return {
        "embedding_scale": spec.embedding_multiplier,
        "attention.scale": spec.attention_scale or spec.head_dim**-0.5,
        "residual_scale": 1.0,
        "logit_scale": 1.0,
    }


def _phi3(spec: ModelSpec) -> Keys:
    """Return the context beyond which other rotary factors would be taken."""
    scaling = spec.rope_scaling
    original = spec.max_context_tokens if scaling is None else scaling.original_context_tokens
    return {"rope.scaling.original_context_length": original, "attention.sliding_window": 0}


_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_GEMMA = {"activation": ("gelu_tanh",), "scaled_embedding": (True,), "attention_scale": _ANY}
_LLAMA = GgufFamily(
    "llama",
    {
        "rope_scaling": ("llama3", "linear", YARN),
        "sliding_window_tokens": _ANY,
        "qkv_bias": (True,),
    },
    pairs=True,
)
_GRANITE = GgufFamily(
    "granite",
    {"embedding_multiplier": _ANY, "attention_scale": _ANY},
    pairs=True,
    keys=_granite,
)
# Norms of weight and bias, and a block without a gate.
_GPT = {
    "norm": ("layernorm",),
    "activation": ("gelu_tanh",),
    "mlp_gated": (False,),
    "qkv_bias": (True,),
    "all_bias": (True,),
}
# By the Hugging Face model_type. Source: src/models/*.cpp and conversion/*.py of llama.cpp, as in
# llama-cpp-python 0.3.36.
FAMILIES: Mapping[str, GgufFamily] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": GgufFamily("qwen2", {"qkv_bias": (True,), "rope_scaling": ("linear", YARN)}),
    "qwen3": GgufFamily("qwen3", {"qk_norm": ("per_head",), "rope_scaling": ("linear", YARN)}),
    "phi3": GgufFamily(
        "phi3",
        {"rope_scaling": ("longrope",), "rotary_dim": _ANY, "sliding_window_tokens": _ANY},
        packed={"attn_qkv": _QKV, "ffn_up": ("mlp.gate_proj", "mlp.up_proj")},
        keys=_phi3,
    ),
    "gemma": GgufFamily("gemma", _GEMMA, tied=True),
    "gemma2": GgufFamily(
        "gemma2",
        {
            **_GEMMA,
            "norm_order": ("around",),
            "attention_softcap": _ANY,
            "logit_softcap": _ANY,
            "sliding_window_tokens": _ANY,
            "full_attention_every": _ANY,
        },
        keys=_caps,
        window=True,
        tied=True,
    ),
    "gemma3_text": GgufFamily(
        "gemma3",
        {
            **_GEMMA,
            "norm_order": ("around",),
            "qk_norm": ("per_head",),
            "logit_softcap": _ANY,
            "sliding_window_tokens": _ANY,
            "full_attention_every": _ANY,
            "local_rope_theta": _ANY,
            "rope_scaling": ("linear",),
        },
        keys=_caps,
        window=True,
    ),
    "smollm3": GgufFamily("smollm3", {"layer_pattern": ("FFFG",)}, pairs=True),
    "granite": _GRANITE,
    "granitemoehybrid": _GRANITE,  # its dense models; those with Mamba or experts are refused
    "granite_swa": GgufFamily(
        "granite_swa",
        {
            **_GRANITE.takes,
            "attention_sinks": (True,),
            "sliding_window_tokens": _ANY,
            "layer_pattern": _ANY,
            "layer_thetas": _ANY,
        },
        pairs=True,
        keys=_steps_of_windows,
        problem=_no_layer_bases,
        window=True,
    ),
    "olmo2": GgufFamily(
        "olmo2", {"norm_order": ("after",), "qk_norm": ("full_width",)}, tied=False
    ),
    "olmo3": GgufFamily(
        "olmo2",
        {
            "norm_order": ("after",),
            "qk_norm": ("full_width",),
            "sliding_window_tokens": _ANY,
            "full_attention_every": _ANY,
            "local_rope_theta": _ANY,
            "rope_scaling": (YARN,),
        },
        keys=_windows,
        problem=_one_base,
        window=True,
        tied=False,
    ),
    "exaone4": GgufFamily(
        "exaone4",
        {"norm_order": ("after",), "qk_norm": ("per_head",), "rope_scaling": ("llama3", "linear")},
    ),
    "hunyuan_v1_dense": GgufFamily(
        "hunyuan-dense", {"qk_norm": ("per_head",), "qk_norm_after_rotary": (True,)}
    ),
    "ministral": _LLAMA,
    "ministral3": GgufFamily("mistral3", {"rope_scaling": (YARN,)}, pairs=True, keys=_growing),
    "lfm2": GgufFamily(
        "lfm2",
        {"qk_norm": ("per_head",), "layer_pattern": _ANY, "convolution": _ANY},
        names={"model.norm": "token_embd_norm"},
        keys=_layer_heads,
        problem=_plain_taps,
    ),
    "phi": GgufFamily(
        "phi2",
        {**_GPT, "norm_order": ("parallel",), "head_bias": (True,), "rotary_dim": _ANY},
        keys=_centered,
        tied=False,
    ),
    "gpt2": GgufFamily(
        "gpt2", {**_GPT, "positions": ("learned",)}, packed={"attn_qkv": _QKV}, keys=_centered
    ),
    "ernie4_5": GgufFamily("ernie4_5", {"rotary_pairs": (True,)}, pairs=True),
}


@singledispatch
def decoder_of(spec: AnySpec) -> ModelSpec:
    """Return a spec as that of a decoder.

    Raises:
        ModelError: it is none.
    """
    raise ModelError(f"{spec.name} is an encoder, which has no GGUF here", fix="--runtime ort")


@decoder_of.register
def _decoder(spec: ModelSpec) -> ModelSpec:
    return spec


def family_of(spec: ModelSpec) -> GgufFamily:
    """Return what a model is to llama.cpp.

    Raises:
        ModelError: it has no word for the family, or does not compute what a field says.
    """
    problem = refusal(spec)
    if problem is not None:
        raise ModelError(f"{spec.name} has no GGUF here: {problem}", fix="--runtime ort")
    return FAMILIES[spec.family]


def refusal(spec: ModelSpec) -> str | None:
    """Return why a model is not written as GGUF; None: it is."""
    if spec.family not in FAMILIES:
        return f"no row for the family {spec.family}; there are {', '.join(FAMILIES)}"
    family = FAMILIES[spec.family]
    for one in fields(spec):
        value, default = getattr(spec, one.name), one.default
        if one.name in _FREE or not _has_default(one) or value == default:
            continue
        if one.name not in family.takes or not _is_taken(value, family.takes[one.name]):
            return f"llama.cpp's {family.architecture} computes no {one.name} = {_short(value)}"
    if family.tied is not None and spec.tied_embeddings != family.tied:
        has = "has no head of its own" if family.tied else "has a head of its own"
        return f"llama.cpp's {family.architecture} {has}"
    problem = _odd_yarn(spec.rope_scaling, family) or _half_layer(spec) or family.problem(spec)
    if problem is not None:
        return f"llama.cpp's {family.architecture} computes {problem}"
    usual = spec.head_dim**-0.5
    fixed_scale = "attention.scale" not in family.keys(spec)
    if fixed_scale and abs((spec.attention_scale or usual) - usual) > 1e-6 * usual:
        return f"llama.cpp's {family.architecture} scales scores by the width of a head"
    return None


def _odd_yarn(scaling: RopeScaling | None, family: GgufFamily) -> str | None:
    """Return what yarn of a spec is not computed; None: all of it is."""
    if scaling is None or scaling.kind != YARN:
        return None
    if not scaling.whole_pairs:
        return "yarn with bounds of whole pairs alone"
    if (scaling.fast_turns, scaling.slow_turns) != (YARN_FAST, YARN_SLOW):
        return f"yarn between {YARN_FAST:g} turns and {YARN_SLOW:g} alone"
    if scaling.query_growth and family.keys is not _growing:
        return "no query_growth"
    return None


def _half_layer(spec: ModelSpec) -> str | None:
    """Return a layer that lacks its mixer or its block; None: there is none."""
    others = [one for one in spec.layer_pattern if one.islower() or not KINDS[one].mixers]
    return f"no layer of kind {others[0]}" if others else None


def _has_default(one: Any) -> bool:
    """Whether a field of a spec says how a model differs from Llama."""
    return isinstance(one.default, str | int | float | bool | tuple | type(None))


def _is_taken(value: Any, allowed: tuple[Any, ...]) -> bool:
    """Whether a value is one of those that are computed."""
    word = value.kind if isinstance(value, RopeScaling) else value
    return not allowed or word in allowed


def _short(value: Any) -> str:
    """A value in a sentence."""
    return str(value.kind if isinstance(value, RopeScaling) else value)[:40]


def header_keys(spec: ModelSpec) -> dict[str, Any]:
    """Return every key of the architecture with its value; floats are float32 in the file.

    Raises:
        ModelError: as family_of.
    """
    family, scaling = family_of(spec), spec.rope_scaling
    keys: dict[str, Any] = {
        "vocab_size": spec.vocab_size,
        "context_length": spec.max_context_tokens,
        "embedding_length": spec.hidden_size,
        "block_count": spec.num_layers,
        "feed_forward_length": spec.intermediate_size,
        "attention.head_count": spec.num_heads,
        "attention.head_count_kv": spec.num_kv_heads,
        "attention.key_length": spec.head_dim,
        "attention.value_length": spec.head_dim,
        "attention.layer_norm_rms_epsilon": spec.norm_epsilon,
        "rope.dimension_count": spec.rotated_dim,
        "rope.freq_base": float(spec.rope_theta),
    }
    if scaling is not None and scaling.kind == "linear":
        keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": scaling.factor}
    if scaling is not None and scaling.kind == "longrope":
        keys["rope.scaling.attn_factor"] = scaling.amplitude
    if scaling is not None and scaling.kind == YARN:
        keys |= {
            "rope.scaling.type": YARN,
            "rope.scaling.factor": scaling.factor,
            "rope.scaling.original_context_length": scaling.original_context_tokens,
            # beside what its own rule multiplies by
            "rope.scaling.attn_factor": scaling.amplitude / (1 + 0.1 * math.log(scaling.factor)),
        }
    return keys | dict(family.keys(spec))
