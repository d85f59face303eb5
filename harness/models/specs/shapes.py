"""The numbers that describe each kind of architecture, beyond the decoders built here."""

from dataclasses import dataclass

from harness.models.specs.layers import Convolution, DeltaRule, Experts, Mamba
from harness.models.specs.structure import Attention, ParameterGroup, Recurrence, Stage


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """A decoder of any family; fields that ModelSpec has too mean the same there.

    Attributes:
        vocab_size: rows of the embedding.
        hidden_size: width of the residual stream.
        num_layers: blocks.
        num_heads: query heads.
        num_kv_heads: key and value heads.
        head_dim: width of one head.
        intermediate_size: width of the block after attention.
        tied_embeddings: whether the head is the embedding itself.
        max_context_tokens: longest sequence the model takes.
        rope_theta: base of the rotary frequencies.
        activation: of the block; a fact for people, it changes no count.
        norm: `rmsnorm` (one weight), `layernorm` (weight and bias) or
            `nonparametric_layernorm` (nothing trained).
        norms_per_layer: 2, 4 (Gemma 2 and 3) or 1 (parallel blocks).
        mlp_gated: three matrices with a gate, or two without.
        qkv_bias: query, key and value projections add a bias.
        all_bias: output projection and block matrices add one too.
        out_bias: the output projection alone adds one too.
        block_bias: the matrices of the block add one.
        head_bias: the head adds one.
        attention_sinks: a learned logit per head takes a share of every softmax.
        per_layer_width: of a second embedding, of which each layer adds its own part; 0: none.
        layer_scalars: the stream behind each layer is multiplied by a trained number.
        qk_norm: `none`, `per_head` (head_dim each) or `full_width` (all heads).
        sliding_window_tokens: how far back windowed layers see; None: no window.
        full_attention_layers: layers that see everything all the same.
        learned_positions: a trained row per position of the context (GPT-2).
        experts: a mixture in every layer, or None.
        convolution: sizes of short convolutions; only architectures that are built have any.
        attention_gate: queries come with gates, likewise.
        attention_gate_by_head: one for each head, likewise.
        delta_rule: sizes of linear attention, likewise.
        mamba: sizes of Mamba-2, likewise.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    tied_embeddings: bool
    max_context_tokens: int
    rope_theta: float
    activation: str = "silu"
    norm: str = "rmsnorm"
    norms_per_layer: int = 2
    mlp_gated: bool = True
    qkv_bias: bool = False
    all_bias: bool = False
    head_bias: bool = False
    out_bias: bool = False
    block_bias: bool = False
    attention_sinks: bool = False
    per_layer_width: int = 0
    layer_scalars: bool = False
    qk_norm: str = "none"
    sliding_window_tokens: int | None = None
    full_attention_layers: int = 0
    learned_positions: bool = False
    experts: Experts | None = None
    convolution: Convolution | None = None
    attention_gate: bool = False
    attention_gate_by_head: bool = False
    delta_rule: DeltaRule | None = None
    mamba: Mamba | None = None


@dataclass(frozen=True, slots=True)
class WhisperShape:
    """A speech encoder over `encoder_tokens` frames and a text decoder that attends to it."""

    vocab_size: int
    hidden_size: int
    encoder_layers: int
    decoder_layers: int
    num_heads: int
    head_dim: int
    intermediate_size: int
    max_context_tokens: int
    encoder_tokens: int
    mel_bins: int


@dataclass(frozen=True, slots=True)
class T5Shape:
    """A text encoder and decoder with bucketed relative positions, both over one embedding.

    Attributes:
        mlp_gated: three matrices in a block instead of two (version 1.1).
        tied_embeddings: whether the head is the embedding; version 1.1 has its own.
    """

    vocab_size: int
    hidden_size: int
    encoder_layers: int
    decoder_layers: int
    num_heads: int
    head_dim: int
    intermediate_size: int
    max_context_tokens: int
    position_buckets: int
    mlp_gated: bool = False
    tied_embeddings: bool = True


@dataclass(frozen=True, slots=True)
class VitShape:
    """An image classifier over square patches."""

    hidden_size: int
    num_layers: int
    num_heads: int
    head_dim: int
    intermediate_size: int
    image_pixels: int
    patch_pixels: int
    num_classes: int


@dataclass(frozen=True, slots=True)
class ClipText:
    """The text tower of CLIP."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int


@dataclass(frozen=True, slots=True)
class ClipShape:
    """An image tower and a text tower, each projected to `projection_size`."""

    hidden_size: int
    num_layers: int
    num_heads: int
    head_dim: int
    intermediate_size: int
    image_pixels: int
    patch_pixels: int
    vocab_size: int
    max_context_tokens: int
    projection_size: int
    text: ClipText


@dataclass(frozen=True, slots=True)
class PartsShape:
    """Any architecture, array by array: those whose layers are like no other's.

    Attributes:
        like: kind of the structure: `decoder`, `bert`, `encoder` or `whisper`.
        hidden_size: as of a ModelStructure, and so are those that follow.
        intermediate_size: see there.
        num_layers: see there.
        max_context_tokens: see there.
        part: every trained array.
        attention: every group of attending layers.
        vocab_size: see there.
        encoder_tokens: see there.
        recurrence: every group of layers that keep a state.
        stage: of all of them, where they do not say it: `encoder` or `decoder`.
    """

    like: str
    hidden_size: int
    intermediate_size: int
    num_layers: int
    max_context_tokens: int
    part: tuple[ParameterGroup, ...]
    attention: tuple[Attention, ...]
    vocab_size: int = 0
    encoder_tokens: int | None = None
    recurrence: tuple[Recurrence, ...] = ()
    stage: Stage = Stage.DECODER


Shape = DecoderShape | WhisperShape | T5Shape | VitShape | ClipShape | PartsShape
