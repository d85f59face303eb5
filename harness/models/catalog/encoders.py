"""Encoders and encoder-decoders, taken apart. h is the hidden size, i the block's width."""

from collections.abc import Iterator
from dataclasses import replace

from harness.models.specs.shapes import (
    ClipShape,
    PartsShape,
    T5Shape,
    VitShape,
    WhisperShape,
)
from harness.models.specs.structure import Attention, ModelStructure, ParameterGroup, Role, Stage

CHANNELS = 3  # red, green, blue
WHISPER_TAPS = 3  # both convolutions of Whisper's encoder


def whisper_structure(name: str, shape: WhisperShape) -> ModelStructure:
    """Take apart Whisper; key projections have no bias, the head is the embedding.

        attention = 4·h² + 3·h; block = 2·h·i + i + h; norm = 2·h
        encoder = 3·mel·h + h + 3·h² + h + frames·h + layers·(attention + block + 2 norms) + norm
        decoder = V·h + positions·h + layers·(2 attention + block + 3 norms) + norm

    Assumes, for the work only: both convolutions run over the encoder's own number of frames
    (the first one runs over twice as many). Source: transformers WhisperModel.
    """
    hidden, wide = shape.hidden_size, shape.intermediate_size
    encoder, decoder = Stage.ENCODER, Stage.DECODER
    groups = (
        ParameterGroup(
            "audio taps", Role.BODY, hidden, WHISPER_TAPS * shape.mel_bins, stage=encoder
        ),
        ParameterGroup("frame taps", Role.BODY, hidden, WHISPER_TAPS * hidden, stage=encoder),
        ParameterGroup("taps bias", Role.VECTOR, hidden, 1, 2, stage=encoder),
        ParameterGroup("frame positions", Role.TABLE, shape.encoder_tokens, hidden, stage=encoder),
        *_sides(hidden, wide, shape.encoder_layers, shape.decoder_layers, key_bias=False),
        ParameterGroup("final norms", Role.VECTOR, 2 * hidden, stage=encoder),
        ParameterGroup("final norms", Role.VECTOR, 2 * hidden, stage=decoder),
        ParameterGroup("embedding", Role.TIED, shape.vocab_size, hidden),
        ParameterGroup("positions", Role.TABLE, shape.max_context_tokens, hidden),
    )
    return ModelStructure(
        name=name,
        kind="whisper",
        groups=groups,
        attention=_two_sided(shape),
        hidden_size=hidden,
        intermediate_size=wide,
        num_layers=shape.encoder_layers + shape.decoder_layers,
        vocab_size=shape.vocab_size,
        max_context_tokens=shape.max_context_tokens,
        encoder_tokens=shape.encoder_tokens,
    )


def t5_structure(name: str, shape: T5Shape) -> ModelStructure:
    """Take apart T5: no biases, one embedding for both sides.

        attention = 4·h·heads·d; block = 2·h·i, gated 3·h·i; norm = h
        total = V·h [+ V·h for a head of its own] + encoder·(attention + block + 2 norms)
                + decoder·(2 attention + block + 3 norms) + 2·buckets·heads + 2 norms

    Source: transformers T5Model; version 1.1 has gates and a head of its own.
    """
    hidden, wide, inner = (
        shape.hidden_size,
        shape.intermediate_size,
        shape.num_heads * shape.head_dim,
    )
    groups = [*_t5_tables(shape)]
    gates = ("block gate", "block up") if shape.mlp_gated else ("block up",)
    sides = ((Stage.ENCODER, shape.encoder_layers, 1), (Stage.DECODER, shape.decoder_layers, 2))
    for stage, layers, attentions in sides:
        count = layers * attentions
        groups += [
            ParameterGroup("attention qkv", Role.BODY, 3 * inner, hidden, count, stage=stage),
            ParameterGroup("attention out", Role.BODY, hidden, inner, count, stage=stage),
            *(ParameterGroup(name, Role.BODY, wide, hidden, layers, stage=stage) for name in gates),
            ParameterGroup("block down", Role.BODY, hidden, wide, layers, stage=stage),
            ParameterGroup("norms", Role.VECTOR, hidden, 1, count + layers + 1, stage=stage),
            ParameterGroup(
                "positions", Role.VECTOR, shape.position_buckets * shape.num_heads, stage=stage
            ),
        ]
    return ModelStructure(
        name=name,
        kind="t5",
        groups=tuple(groups),
        attention=_two_sided(shape),
        hidden_size=hidden,
        intermediate_size=wide,
        num_layers=shape.encoder_layers + shape.decoder_layers,
        vocab_size=shape.vocab_size,
        max_context_tokens=shape.max_context_tokens,
    )


def _t5_tables(shape: T5Shape) -> Iterator[ParameterGroup]:
    """Yield the embedding that both sides read, and the head where it is not the same."""
    sizes = (shape.vocab_size, shape.hidden_size)
    yield ParameterGroup("embedding", Role.TIED if shape.tied_embeddings else Role.TABLE, *sizes)
    if not shape.tied_embeddings:
        yield ParameterGroup("head", Role.HEAD, *sizes)


def parts_structure(name: str, shape: PartsShape) -> ModelStructure:
    """Return an architecture that was told array by array."""
    parts, attention = shape.part, shape.attention
    if shape.stage is Stage.ENCODER:
        parts = tuple(replace(part, stage=shape.stage) for part in parts)
        attention = tuple(replace(one, stage=shape.stage) for one in attention)
    return ModelStructure(
        name=name,
        kind=shape.like,
        groups=parts,
        attention=attention,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_layers=shape.num_layers,
        vocab_size=shape.vocab_size,
        max_context_tokens=shape.max_context_tokens,
        encoder_tokens=shape.encoder_tokens,
        recurrences=shape.recurrence,
    )


def vit_structure(name: str, shape: VitShape) -> ModelStructure:
    """Take apart a vision transformer; n patches and one class token.

        total = 3·p²·h + h + h + (n + 1)·h + layers·(4(h² + h) + 2·h·i + i + h + 4h) + 2h
                + h·classes + classes

    Source: transformers ViTForImageClassification.
    """
    hidden, classes = shape.hidden_size, shape.num_classes
    tokens = (shape.image_pixels // shape.patch_pixels) ** 2 + 1
    encoder = Stage.ENCODER
    attention = Attention(
        shape.num_layers, shape.num_heads, shape.num_heads, shape.head_dim, False, stage=encoder
    )
    return ModelStructure(
        name=name,
        kind="vit",
        groups=(
            ParameterGroup(
                "patches", Role.BODY, hidden, CHANNELS * shape.patch_pixels**2, stage=encoder
            ),
            ParameterGroup("patches bias", Role.VECTOR, hidden, stage=encoder),
            ParameterGroup("class token", Role.VECTOR, hidden, stage=encoder),
            ParameterGroup("positions", Role.TABLE, tokens, hidden, stage=encoder),
            *_tower(hidden, shape.intermediate_size, shape.num_layers),
            ParameterGroup("final norm", Role.VECTOR, 2 * hidden, stage=encoder),
            ParameterGroup("classes", Role.HEAD, classes, hidden, stage=encoder),
            ParameterGroup("classes bias", Role.VECTOR, classes, stage=encoder),
        ),
        attention=(attention,),
        hidden_size=hidden,
        intermediate_size=shape.intermediate_size,
        num_layers=shape.num_layers,
        vocab_size=0,
        max_context_tokens=tokens,
        encoder_tokens=tokens,
    )


def clip_structure(name: str, shape: ClipShape) -> ModelStructure:
    """Take apart CLIP; w is the text tower's hidden size.

        image = 3·p²·h + h + (n + 1)·h + 4h + layers + h·projection
        text = V·w + positions·w + layers + 2w + w·projection; and one logit scale

    Assumes, for the work only: both towers run over the image's tokens.
    Source: transformers CLIPModel.
    """
    hidden, text = shape.hidden_size, shape.text
    tokens = (shape.image_pixels // shape.patch_pixels) ** 2 + 1
    encoder = Stage.ENCODER
    towers = (
        (shape.num_layers, shape.num_heads, hidden),
        (text.num_layers, text.num_heads, text.hidden_size),
    )
    attention = tuple(
        Attention(layers, heads, heads, width // heads, False, stage=encoder)
        for layers, heads, width in towers
    )
    return ModelStructure(
        name=name,
        kind="clip",
        groups=(
            ParameterGroup(
                "patches", Role.BODY, hidden, CHANNELS * shape.patch_pixels**2, stage=encoder
            ),
            ParameterGroup("class token", Role.VECTOR, hidden, stage=encoder),
            ParameterGroup("image positions", Role.TABLE, tokens, hidden, stage=encoder),
            ParameterGroup("image norms", Role.VECTOR, 4 * hidden, stage=encoder),
            *_tower(hidden, shape.intermediate_size, shape.num_layers),
            ParameterGroup(
                "image projection", Role.HEAD, shape.projection_size, hidden, stage=encoder
            ),
            ParameterGroup(
                "embedding", Role.TABLE, shape.vocab_size, text.hidden_size, stage=encoder
            ),
            ParameterGroup(
                "positions", Role.TABLE, shape.max_context_tokens, text.hidden_size, stage=encoder
            ),
            *_tower(text.hidden_size, text.intermediate_size, text.num_layers),
            ParameterGroup("text norm", Role.VECTOR, 2 * text.hidden_size, stage=encoder),
            ParameterGroup(
                "text projection", Role.HEAD, shape.projection_size, text.hidden_size, stage=encoder
            ),
            ParameterGroup("logit scale", Role.VECTOR, 1, stage=encoder),
        ),
        attention=attention,
        hidden_size=hidden,
        intermediate_size=shape.intermediate_size,
        num_layers=shape.num_layers + text.num_layers,
        vocab_size=0,
        max_context_tokens=shape.max_context_tokens,
        encoder_tokens=tokens,
    )


def _tower(hidden: int, wide: int, layers: int) -> Iterator[ParameterGroup]:
    """Yield the layers of a plain encoder, all with biases and two layer norms."""
    encoder = Stage.ENCODER
    yield ParameterGroup("attention qkv", Role.BODY, 3 * hidden, hidden, layers, stage=encoder)
    yield ParameterGroup("attention out", Role.BODY, hidden, hidden, layers, stage=encoder)
    yield ParameterGroup("block up", Role.BODY, wide, hidden, layers, stage=encoder)
    yield ParameterGroup("block down", Role.BODY, hidden, wide, layers, stage=encoder)
    vectors = 4 * hidden + wide + hidden + 4 * hidden
    yield ParameterGroup("biases and norms", Role.VECTOR, vectors, 1, layers, stage=encoder)


def _sides(
    hidden: int, wide: int, encoder_layers: int, decoder_layers: int, key_bias: bool
) -> Iterator[ParameterGroup]:
    """Yield both sides of an encoder-decoder with biases; a decoder layer attends twice."""
    attention_bias = (4 if key_bias else 3) * hidden
    sides = ((Stage.ENCODER, encoder_layers, 1), (Stage.DECODER, decoder_layers, 2))
    for stage, layers, attentions in sides:
        count = layers * attentions
        yield ParameterGroup("attention qkv", Role.BODY, 3 * hidden, hidden, count, stage=stage)
        yield ParameterGroup("attention out", Role.BODY, hidden, hidden, count, stage=stage)
        yield ParameterGroup("attention biases", Role.VECTOR, attention_bias, 1, count, stage=stage)
        yield ParameterGroup("block up", Role.BODY, wide, hidden, layers, stage=stage)
        yield ParameterGroup("block down", Role.BODY, hidden, wide, layers, stage=stage)
        yield ParameterGroup("block biases", Role.VECTOR, wide + hidden, 1, layers, stage=stage)
        yield ParameterGroup("norms", Role.VECTOR, 2 * hidden, 1, count + layers, stage=stage)


def _two_sided(shape: WhisperShape | T5Shape) -> tuple[Attention, ...]:
    """Return attention within the encoder, within the decoder, and from one to the other."""
    heads = (shape.num_heads, shape.num_heads, shape.head_dim)
    return (
        Attention(shape.encoder_layers, *heads, causal=False, stage=Stage.ENCODER),
        Attention(shape.decoder_layers, *heads),
        Attention(shape.decoder_layers, *heads, causal=False, to_encoder=True),
    )
