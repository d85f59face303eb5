"""What a family of decoders is to llama.cpp: its word, keys and tensors, and what it cannot say.

A spec is written only where llama.cpp's architecture computes all that the spec says; everything
else is refused by the name of the field, so that no file computes something else in silence.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import singledispatch
from typing import Any

from harness.core.errors import ModelError
from harness.models.specs.model import NORM_ORDERS, AnySpec, ModelSpec, RopeScaling
from harness.models.specs.tensors import TOKENS, Tensor, logical_tensors

Keys = Mapping[str, Any]  # of a header, without the architecture before them
ROPE_FREQS, ROPE_LONG, ROPE_SHORT = "rope_freqs", "rope_factors_long", "rope_factors_short"
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
        keys: of the header, beside those of every family.
        window: attention sees the last tokens only, as the spec says; without it tests must end
            within the window.
        tied: whether the head must be the embedding (true), must not (false), or may (None).
    """

    architecture: str
    takes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    pairs: bool = False
    packed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Callable[[ModelSpec], Keys] = lambda _spec: {}
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
    {"rope_scaling": ("llama3", "linear"), "sliding_window_tokens": _ANY, "qkv_bias": (True,)},
    pairs=True,
)
# By the Hugging Face model_type. Source: src/models/*.cpp and conversion/*.py of llama.cpp, as in
# llama-cpp-python 0.3.36.
FAMILIES: Mapping[str, GgufFamily] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": GgufFamily("qwen2", {"qkv_bias": (True,), "rope_scaling": ("linear",)}),
    "qwen3": GgufFamily("qwen3", {"qk_norm": ("per_head",), "rope_scaling": ("linear",)}),
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
    "granite": GgufFamily(
        "granite",
        {"embedding_multiplier": _ANY, "attention_scale": _ANY},
        pairs=True,
        keys=_granite,
    ),
    "olmo2": GgufFamily(
        "olmo2", {"norm_order": ("after",), "qk_norm": ("full_width",)}, tied=False
    ),
    "ernie4_5": GgufFamily("ernie4_5", {"rotary_pairs": (True,)}, pairs=True),
}


@dataclass(frozen=True, slots=True)
class FileTensor:
    """One tensor of the file.

    Attributes:
        name: in the file.
        parts: ours that lie in it, one below the other.
        shape: as we have it, [outputs, inputs] or [n].
        turned_heads: heads whose rows are put in the order of neighbours; 0: none are.
    """

    name: str
    parts: tuple[Tensor, ...]
    shape: tuple[int, ...]
    turned_heads: int = 0


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
    usual = spec.head_dim**-0.5
    fixed_scale = "attention.scale" not in family.keys(spec)
    if fixed_scale and abs((spec.attention_scale or usual) - usual) > 1e-6 * usual:
        return f"llama.cpp's {family.architecture} scales scores by the width of a head"
    return None


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
    return keys | dict(family.keys(spec))


def rotary_tensors(spec: ModelSpec) -> tuple[str, ...]:
    """Return the tensors of rotary factors, each with one value a rotated pair."""
    words = {"llama3": (ROPE_FREQS,), "longrope": (ROPE_LONG, ROPE_SHORT)}
    return words.get(spec.rope_scaling.kind, ()) if spec.rope_scaling is not None else ()


def file_tensors(spec: ModelSpec) -> Iterator[FileTensor]:
    """Yield every trained tensor of the file, in the order of our own.

    Raises:
        ModelError: as family_of.
    """
    family = family_of(spec)
    seen: dict[str, Tensor] = {}
    packed = {part: name for name, parts in family.packed.items() for part in parts}
    turned = {"self_attn.q_proj": spec.num_heads, "self_attn.k_proj": spec.num_kv_heads}
    turns = family.pairs and not spec.rotary_pairs
    for tensor in logical_tensors(spec):
        layer, part, end = _place(tensor)
        seen[tensor.name] = tensor
        if part not in packed:
            heads = turned.get(part, 0) if turns else 0
            name = f"{layer}{_names(spec)[part]}.{end}"
            yield FileTensor(name, (tensor,), tensor.shape, heads)
            continue
        parts = family.packed[packed[part]]
        if part == parts[-1]:
            found = tuple(seen[tensor.name.replace(part, one)] for one in parts)
            shape = (sum(one.shape[0] for one in found), *tensor.shape[1:])
            yield FileTensor(f"{layer}{packed[part]}.{end}", found, shape)


def _place(tensor: Tensor) -> tuple[str, str, str]:
    """Return `blk.N.`, the name within a layer, and `weight` or `bias`."""
    plain, _, end = tensor.name.rpartition(".")
    if not plain.startswith("model.layers."):
        return "", plain, end
    number, _, part = plain.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.", part, end


def _names(spec: ModelSpec) -> dict[str, str]:
    """Return ours -> theirs, without `blk.N.` and the end."""
    order = NORM_ORDERS[spec.norm_order]
    norms = {
        order.before_attention: "attn_norm",
        order.after_attention: "post_attention_norm",
        order.before_block: "ffn_norm",
        order.after_block: "post_ffw_norm",
    }
    return norms | {
        TOKENS: "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        **{f"self_attn.{letter}_proj": f"attn_{letter}" for letter in "qkv"},
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        **{f"mlp.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
    }
