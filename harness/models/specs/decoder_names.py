"""Where a Hugging Face checkpoint keeps the tensors of a decoder.

Inside the harness they carry Llama's names, one matrix each, as [outputs, inputs]. A checkpoint may
call them otherwise, keep several in one, lay matrices the other way round, or store a norm's
weights less one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.models.specs.blocks import EXPERTS, ROUTER, SHARED
from harness.models.specs.model import ROTARY_ENCODER_FAMILIES, ModelSpec
from harness.models.specs.tensors import POSITIONS, TOKENS

LAYERS = "model.layers."
# What stands before the names of a text part: transformers 5, 4 and those that wrap a body.
TEXT_PREFIXES = ("model.language_model.", "language_model.model.", "model.text_model.")
_TEXT_HEADS = ("language_model.lm_head.", "lm_head.")


@dataclass(frozen=True, slots=True)
class Family:
    """How the checkpoints of one `model_type` differ from Llama's.

    Attributes:
        names: ours -> theirs, without `.weight`; of a layer without its `model.layers.N.`, but
            for what only one layer calls otherwise.
        packed: theirs -> ours, one below the other along the outputs.
        experts: what stands before an expert's number within a layer.
        expert_names: ours -> theirs, of the three matrices of an expert.
        stacked: theirs -> ours, of the matrices of all experts in one, [experts, inputs, outputs],
            with the outputs of ours by turns; a bias is called `theirs_bias`.
        stacked_rows: theirs -> ours, of such in whole names as [experts, outputs, inputs], one
            below the other.
        unstacked: some of its checkpoints have the experts one by one instead.
        packed_shared: as packed, of the block that every token uses.
        joined: ours -> theirs, one below the other, where ours is one and theirs are several.
        names_before: as names, where the norms of a layer stand before its parts alone.
        names_behind: as names, in layers that attend beside others that do not.
        interleaved_delta: parts of linear attention lie together, one key head after the other.
        layers: what stands before a layer's number.
        prefix: what may be left out before every name.
        transposed: matrices of layers lie as [inputs, outputs].
        norms_add_one: the weights of norms are stored less one.
        gated_queries: each head of the query matrix is followed by its gate.
        plain_norms: norms within a layer that are stored whole all the same.
        unused: beginnings of names of what is stored and not built: heads that look further ahead.
        buffers: ends of names that are stored although they follow from config.json.
        heads: beginnings of names, without `model.`, of heads that an encoder does without.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    packed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    experts: str = EXPERTS
    expert_names: Mapping[str, str] = field(default_factory=dict)
    stacked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stacked_rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unstacked: bool = False
    packed_shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names_before: Mapping[str, str] = field(default_factory=dict)
    names_behind: Mapping[str, str] = field(default_factory=dict)
    interleaved_delta: bool = False
    layers: str = LAYERS
    prefix: str = ""
    transposed: bool = False
    norms_add_one: bool = False
    gated_queries: bool = False
    plain_norms: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    buffers: tuple[str, ...] = (".rotary_emb.inv_freq",)
    heads: tuple[str, ...] = ("lm_head.",)


_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_MAMBA = tuple(f"mamba.{part}_proj" for part in ("z", "x", "B", "C", "dt"))
_LFM2 = {
    "input_layernorm": "operator_norm",
    "self_attn.o_proj": "self_attn.out_proj",
    "self_attn.q_norm": "self_attn.q_layernorm",
    "self_attn.k_norm": "self_attn.k_layernorm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "model.norm": "model.embedding_norm",
}
_LFM3 = {
    **_LFM2,
    "self_attn.o_proj": "self_attn.o_proj",
    "self_attn.q_norm": "self_attn.q_norm",
    "self_attn.k_norm": "self_attn.k_norm",
    "self_attn.g_proj": "self_attn.gate_proj",
    "post_attention_layernorm": "post_operator_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffn_norm",
}
_SHARED_UPS = (f"{SHARED}.gate_proj", f"{SHARED}.up_proj")
_GRANITE_MIXTURE = {
    "mlp.down_proj": "shared_mlp.output_linear",
    f"{SHARED}.down_proj": "shared_mlp.output_linear",
}
_GRANITE_UPS = {"shared_mlp.input_linear": ("mlp.gate_proj", "mlp.up_proj")}
_GATE_UP, _DOWN = ("gate_proj", "up_proj"), ("down_proj",)
_QWEN3_NEXT = Family(
    names={ROUTER: "mlp.gate"},
    norms_add_one=True,
    gated_queries=True,
    plain_norms=("linear_attn.norm",),
    unused=("mtp.", "model.mtp."),
)
_FAMILIES = {
    "llama": Family(),
    "mistral": Family(),
    "ministral": Family(),
    "qwen2": Family(),
    "qwen3": Family(),
    "qwen2_moe": Family(names={ROUTER: "mlp.gate"}),
    "qwen3_moe": Family(names={ROUTER: "mlp.gate"}),
    "mixtral": Family(
        names={ROUTER: "block_sparse_moe.gate"},
        experts="block_sparse_moe.experts",
        expert_names={"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"},
    ),
    "olmo2": Family(),
    "phi3": Family(
        packed={
            "self_attn.qkv_proj": _QKV,
            "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
        }
    ),
    "gemma": Family(norms_add_one=True),
    "gemma2": Family(norms_add_one=True),
    "gemma3_text": Family(norms_add_one=True),
    "smollm3": Family(),
    "granite": Family(),
    "granitemoehybrid": Family(
        names={**_GRANITE_MIXTURE, ROUTER: "block_sparse_moe.router.layer"},
        packed={**_GRANITE_UPS, "mamba.in_proj": _MAMBA},
        packed_shared={"shared_mlp.input_linear": _SHARED_UPS},
        stacked_rows={
            "block_sparse_moe.input_linear.weight": _GATE_UP,
            "block_sparse_moe.output_linear.weight": _DOWN,
        },
    ),
    "granite_swa": Family(),
    "granitemoe_swa": Family(
        names={**_GRANITE_MIXTURE, ROUTER: "block_sparse_moe.router"},
        packed_shared={"shared_mlp.input_linear": _SHARED_UPS},
        stacked_rows={
            "block_sparse_moe.experts.gate_up_proj": _GATE_UP,
            "block_sparse_moe.experts.down_proj": _DOWN,
        },
    ),
    "falcon_h1": Family(
        names={
            "post_attention_layernorm": "pre_ff_layernorm",
            **{f"mlp.{one}_proj": f"feed_forward.{one}_proj" for one in ("gate", "up", "down")},
            "model.norm": "model.final_layernorm",
        },
        packed={"mamba.in_proj": _MAMBA},
    ),
    "hyperclovax": Family(
        names={
            "post_attention_layernorm": "post_norm1",
            "pre_feedforward_layernorm": "post_attention_layernorm",
            "post_feedforward_layernorm": "post_norm2",
        },
        names_before={"post_attention_layernorm": "post_attention_layernorm"},
    ),
    "exaone4": Family(),
    "olmo3": Family(),
    "hunyuan_v1_dense": Family(
        names={
            "self_attn.q_norm": "self_attn.query_layernorm",
            "self_attn.k_norm": "self_attn.key_layernorm",
        }
    ),
    "ernie4_5": Family(),
    "ministral3": Family(),
    "gpt_oss": Family(
        stacked={
            "mlp.experts.gate_up_proj": _GATE_UP,
            "mlp.experts.down_proj": _DOWN,
        }
    ),
    "lfm2": Family(names=_LFM2),
    "lfm2_moe": Family(
        names={**_LFM2, ROUTER: "feed_forward.gate", "mlp": "feed_forward"},
        experts="feed_forward.experts",
        expert_names={"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"},
    ),
    "lfm3": Family(names=_LFM3, names_before={"post_attention_layernorm": "ffn_norm"}),
    "qwen3_5_text": _QWEN3_NEXT,
    "qwen3_5_moe_text": replace(
        _QWEN3_NEXT,
        stacked_rows={
            "mlp.experts.gate_up_proj": _GATE_UP,
            "mlp.experts.down_proj": _DOWN,
        },
        unstacked=True,
    ),
    "qwen3_next": replace(_QWEN3_NEXT, interleaved_delta=True),
    "olmo_hybrid": Family(
        names={
            "input_layernorm": "attention_layer_norm",
            "post_attention_layernorm": "feedforward_layer_norm",
            **{f"linear_attn.in_proj_{one}": f"linear_attn.{one}_proj" for one in "ab"},
            "linear_attn.in_proj_z": "linear_attn.g_proj",
            "linear_attn.out_proj": "linear_attn.o_proj",
            "linear_attn.norm": "linear_attn.o_norm",
        },
        joined={
            "linear_attn.in_proj_qkv": tuple(f"linear_attn.{one}_proj" for one in "qkv"),
            "linear_attn.conv1d": tuple(f"linear_attn.{one}_conv1d" for one in "qkv"),
        },
        names_behind={"post_attention_layernorm": "post_attention_layernorm"},
    ),
    "nemotron_h": Family(
        names={
            TOKENS: "backbone.embeddings",
            "input_layernorm": "norm",
            "post_attention_layernorm": "norm",
            **{f"self_attn.{one}_proj": f"mixer.{one}_proj" for one in "qkvo"},
            **{f"mlp.{one}_proj": f"mixer.{one}_proj" for one in ("up", "down")},
            **{f"mamba.{one}": f"mixer.{one}" for one in ("out_proj", "conv1d", "norm")},
            "mamba": "mixer",
            "model.norm": "backbone.norm_f",
        },
        packed={"mixer.in_proj": _MAMBA},
        layers="backbone.layers.",
        unused=("mtp.",),
    ),
    "gemma4_text": Family(),
    "phi": Family(
        names={
            "self_attn.o_proj": "self_attn.dense",
            "mlp.up_proj": "mlp.fc1",
            "mlp.down_proj": "mlp.fc2",
            "model.norm": "model.final_layernorm",
        }
    ),
    "eurobert": Family(),
    "modernbert": Family(
        names={
            TOKENS: "model.embeddings.tok_embeddings",
            "model.layers.0.input_layernorm": "model.embeddings.norm",
            "input_layernorm": "attn_norm",
            "self_attn.o_proj": "attn.Wo",
            "post_attention_layernorm": "mlp_norm",
            "mlp.down_proj": "mlp.Wo",
            "model.norm": "model.final_norm",
            "dense.0": "head.dense",
            "dense.0.norm": "head.norm",
            "dense.1": "classifier",
        },
        packed={"attn.Wqkv": _QKV, "mlp.Wi": ("mlp.gate_proj", "mlp.up_proj")},
        heads=("head.", "decoder."),
    ),
    "gpt2": Family(
        names={
            TOKENS: "wte",
            POSITIONS: "wpe",
            "input_layernorm": "ln_1",
            "self_attn.o_proj": "attn.c_proj",
            "post_attention_layernorm": "ln_2",
            "mlp.up_proj": "mlp.c_fc",
            "mlp.down_proj": "mlp.c_proj",
            "model.norm": "ln_f",
        },
        packed={"attn.c_attn": _QKV},
        layers="h.",
        prefix="transformer.",
        transposed=True,
        buffers=(".attn.bias", ".attn.masked_bias"),
    ),
}
ENCODER_FAMILIES = tuple(_FAMILIES)  # an encoder may have the layers of any decoder
FAMILIES = tuple(name for name in _FAMILIES if name not in ROTARY_ENCODER_FAMILIES)


def family_of(spec: ModelSpec) -> Family:
    """Return how the checkpoints of a model's family call its tensors."""
    return _FAMILIES[spec.family]


def without_prefix(spec: ModelSpec, name: str) -> str:
    """Return a stored name without what some checkpoints of the family write before it."""
    if spec.part_of:
        begin = next((one for one in TEXT_PREFIXES if name.startswith(one)), None)
        if begin is not None:
            return f"model.{name.removeprefix(begin)}"
        return name.removeprefix("language_model.")
    return name.removeprefix(_FAMILIES[spec.family].prefix)


def is_of_part(spec: ModelSpec, name: str) -> bool:
    """Whether a stored tensor is of the part that is built; all are, unless it is a text part."""
    return not spec.part_of or name.startswith((*TEXT_PREFIXES, *_TEXT_HEADS))


def is_unused(spec: ModelSpec, name: str) -> bool:
    """Whether a stored tensor, without a prefix, is of a head that an encoder does without."""
    return name.removeprefix("model.").startswith(_FAMILIES[spec.family].heads)


def is_buffer(spec: ModelSpec, name: str) -> bool:
    """Whether a stored tensor follows from config.json, or is of a head that is not built."""
    family = _FAMILIES[spec.family]
    return name.endswith(family.buffers) or name.startswith(family.unused)
