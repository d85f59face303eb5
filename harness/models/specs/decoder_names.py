"""Where a Hugging Face checkpoint keeps the tensors of a decoder.

Inside the harness they carry Llama's names, one matrix each, as [outputs, inputs]. A checkpoint may
call them otherwise, keep several in one, lay matrices the other way round, or store a norm's
weights less one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from harness.models.specs.blocks import EXPERTS, ROUTER, SHARED_GATE
from harness.models.specs.model import NORM_ORDERS, ROTARY_ENCODER_FAMILIES, ModelSpec
from harness.models.specs.tensors import (
    POSITIONS,
    SIDE_IN,
    SIDE_IN_NORM,
    SIDE_TABLE,
    TOKENS,
    Tensor,
    layer_shapes,
)

LAYERS = "model.layers."
# What stands before the names of a text part: transformers 5, 4 and those that wrap a body.
TEXT_PREFIXES = ("model.language_model.", "language_model.model.", "model.text_model.")
_TEXT_HEADS = ("language_model.lm_head.", "lm_head.")


@dataclass(frozen=True, slots=True)
class Place:
    """One of our tensors in a checkpoint.

    Attributes:
        name: of the stored tensor, without a prefix that some checkpoints leave out.
        shape: of the whole stored tensor.
        first_row: where ours begins along its outputs.
        transposed: it lies as [inputs, outputs].
        added: what is added to a stored value to get ours.
        flat: a vector of ours lies as a matrix of one row.
        factor: what a stored value is multiplied by, after that, to get ours.
        expert: which of the stacked experts is ours; None: they are not stacked.
        turns: so many of ours give their outputs by turns, the first of them at first_row.
        run_rows: so many rows of ours lie in a row, then come others; 0: all do.
        stride_rows: from the beginning of one run to that of the next.
    """

    name: str
    shape: tuple[int, ...]
    first_row: int = 0
    transposed: bool = False
    added: float = 0.0
    flat: bool = False
    factor: float = 1.0
    expert: int | None = None
    turns: int = 1
    run_rows: int = 0
    stride_rows: int = 0


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
_FAMILIES = {
    "llama": Family(),
    "mistral": Family(),
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
        names={"mlp.down_proj": "shared_mlp.output_linear"},
        packed={
            "shared_mlp.input_linear": ("mlp.gate_proj", "mlp.up_proj"),
            "mamba.in_proj": _MAMBA,
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
        }
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
            "mlp.experts.gate_up_proj": ("gate_proj", "up_proj"),
            "mlp.experts.down_proj": ("down_proj",),
        }
    ),
    "lfm2": Family(names=_LFM2),
    "lfm2_moe": Family(
        names={**_LFM2, ROUTER: "feed_forward.gate", "mlp": "feed_forward"},
        experts="feed_forward.experts",
        expert_names={"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"},
    ),
    "qwen3_5_text": Family(
        norms_add_one=True,
        gated_queries=True,
        plain_norms=("linear_attn.norm",),
        unused=("mtp.", "model.mtp."),
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
# A classifier on top of a decoder's body: one matrix.
_SCORES = {"dense.0": "score"}
ENCODER_FAMILIES = tuple(_FAMILIES)  # an encoder may have the layers of any decoder
FAMILIES = tuple(name for name in _FAMILIES if name not in ROTARY_ENCODER_FAMILIES)


def checkpoint_place(spec: ModelSpec, tensor: Tensor) -> Place:
    """Return where a checkpoint of the spec's family keeps our tensor."""
    family = _FAMILIES[spec.family]
    plain, _, end = tensor.name.rpartition(".")
    in_layer = plain.startswith(LAYERS)
    layer, _, part = plain.removeprefix(LAYERS).partition(".") if in_layer else ("", "", plain)
    before = f"{family.layers}{layer}." if in_layer else ""
    transposed = family.transposed and in_layer and len(tensor.shape) == 2
    is_shifted = part.endswith("norm") and part not in family.plain_norms
    added = 1.0 if family.norms_add_one and is_shifted else 0.0
    factor = _folded(spec, part)
    for stored, ours in family.packed.items():
        if part in ours:
            heights = [_heights(spec, int(layer or 0))[f"{name}.{end}"] for name in ours]
            shape = (sum(heights), *tensor.shape[1:])
            first_row = sum(heights[: ours.index(part)])
            shape = shape[::-1] if transposed else shape
            name = f"{before}{stored}.{end}"
            own = dict(spec.part_multipliers).get(part, 1.0)
            return Place(name, shape, first_row, transposed, added, factor=own)
    if part.startswith(f"{EXPERTS}."):
        expert, _, matrix = part.removeprefix(f"{EXPERTS}.").partition(".")
        for stored, ours in family.stacked.items():
            if matrix in ours:
                name = f"{before}{stored}" + ("_bias" if end == "bias" else "")
                return _stacked_place(
                    spec, tensor, name, int(expert), ours.index(matrix), len(ours)
                )
        matrix = family.expert_names.get(matrix, matrix)
        return Place(f"{before}{family.experts}.{expert}.{matrix}.{end}", tensor.shape)
    if family.gated_queries and part in ("self_attn.q_proj", "self_attn.g_proj"):
        rows, columns = tensor.shape
        run = spec.layer(int(layer)).head_dim
        first = 0 if part == "self_attn.q_proj" else run
        name = f"{before}self_attn.q_proj.{end}"
        return Place(name, (2 * rows, columns), first, run_rows=run, stride_rows=2 * run)
    whole = family.names.get(plain, _SCORES.get(plain))
    begin = whole or before + family.names.get(part, part)
    name = f"{begin}.{end}" if whole or part else f"{before}{end}"
    if part == SHARED_GATE:
        return Place(name, (1, *tensor.shape), flat=True)
    shape = tensor.shape[::-1] if transposed else tensor.shape
    return Place(name, shape, transposed=transposed, added=added, factor=factor)


def _stacked_place(
    spec: ModelSpec, tensor: Tensor, name: str, expert: int, turn: int, turns: int
) -> Place:
    """Return the place of one expert's matrix or bias in a stack of all experts."""
    count = spec.experts.count if spec.experts is not None else 1
    outputs, *inputs = tensor.shape
    shape = (count, *inputs, turns * outputs)
    return Place(name, shape, first_row=turn, expert=expert, turns=turns)


# Of a second embedding: rows · sqrt(width) and the projection / sqrt(hidden), whose norm is taken;
# their sum / sqrt(2).
_SIDE_FACTORS: Mapping[str, Callable[[ModelSpec], float]] = {
    SIDE_TABLE: lambda spec: (spec.per_layer_width / 2) ** 0.5,
    SIDE_IN: lambda spec: spec.hidden_size**-0.5,
    SIDE_IN_NORM: lambda _spec: 0.5**0.5,
}


def _folded(spec: ModelSpec, part: str) -> float:
    """Return what the multipliers of a model make of a tensor: the last ones of each branch."""
    if part == "model.norm":
        return spec.logit_multiplier
    if part in _SIDE_FACTORS:
        return _SIDE_FACTORS[part](spec)
    if spec.part_multipliers:
        return dict(spec.part_multipliers).get(part, 1.0)
    order = NORM_ORDERS[spec.norm_order]
    norms = (order.after_attention, order.after_block)
    if any(norms):
        return spec.residual_multiplier if part in norms else 1.0
    ends = ("o_proj", "down_proj", "out_proj")
    return spec.residual_multiplier if part.endswith(ends) else 1.0


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


@cache
def _heights(spec: ModelSpec, layer: int) -> dict[str, int]:
    """Outputs of every tensor of a layer."""
    return {name: shape[0] for name, shape in layer_shapes(spec, spec.layer(layer))}
