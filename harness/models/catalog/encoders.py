"""Encoders and encoder-decoders, taken apart. h is the hidden size, i the block's width."""

from collections.abc import Iterator

from harness.models.catalog.shapes import (
    ClipShape,
    ModernBertShape,
    T5Shape,
    VitShape,
    WhisperShape,
)
from harness.models.specs.structure import Anatomy, Attention, Piece, Role, Stage

CHANNELS = 3  # red, green, blue
WHISPER_TAPS = 3  # both convolutions of Whisper's encoder


def modernbert_anatomy(name: str, shape: ModernBertShape) -> Anatomy:
    """Take apart ModernBERT: no biases, gate and up in one matrix, the first norm left out.

        total = V·h + layers·(4·h² + 3·h·i) + (2·layers + 1)·h

    Source: transformers ModernBertModel.
    """
    hidden, wide, layers = shape.hidden_size, shape.intermediate_size, shape.num_layers
    heads = (shape.num_heads, shape.num_heads, shape.head_dim, False)
    windowed = layers - shape.full_attention_layers
    window = shape.sliding_window_tokens
    return Anatomy(
        name=name,
        kind="modernbert",
        pieces=(
            Piece("embedding", Role.TABLE, shape.vocab_size, hidden, stage=Stage.ENCODER),
            Piece("attention qkv", Role.BODY, 3 * hidden, hidden, layers, stage=Stage.ENCODER),
            Piece("attention out", Role.BODY, hidden, hidden, layers, stage=Stage.ENCODER),
            Piece("block gate and up", Role.BODY, 2 * wide, hidden, layers, stage=Stage.ENCODER),
            Piece("block down", Role.BODY, hidden, wide, layers, stage=Stage.ENCODER),
            Piece("norms", Role.VECTOR, hidden, 1, 2 * layers + 1, stage=Stage.ENCODER),
        ),
        attention=(
            Attention(shape.full_attention_layers, *heads, stage=Stage.ENCODER),
            Attention(windowed, *heads, window_tokens=window, stage=Stage.ENCODER),
        ),
        hidden_size=hidden,
        intermediate_size=wide,
        num_layers=layers,
        vocab_size=0,
        max_context_tokens=shape.max_context_tokens,
    )


def whisper_anatomy(name: str, shape: WhisperShape) -> Anatomy:
    """Take apart Whisper; key projections have no bias, the head is the embedding.

        attention = 4·h² + 3·h; block = 2·h·i + i + h; norm = 2·h
        encoder = 3·mel·h + h + 3·h² + h + frames·h + layers·(attention + block + 2 norms) + norm
        decoder = V·h + positions·h + layers·(2 attention + block + 3 norms) + norm

    Assumes, for the work only: both convolutions run over the encoder's own number of frames
    (the first one runs over twice as many). Source: transformers WhisperModel.
    """
    hidden, wide = shape.hidden_size, shape.intermediate_size
    encoder, decoder = Stage.ENCODER, Stage.DECODER
    pieces = (
        Piece("audio taps", Role.BODY, hidden, WHISPER_TAPS * shape.mel_bins, stage=encoder),
        Piece("frame taps", Role.BODY, hidden, WHISPER_TAPS * hidden, stage=encoder),
        Piece("taps bias", Role.VECTOR, hidden, 1, 2, stage=encoder),
        Piece("frame positions", Role.TABLE, shape.encoder_tokens, hidden, stage=encoder),
        *_sides(hidden, wide, shape.encoder_layers, shape.decoder_layers, key_bias=False),
        Piece("final norms", Role.VECTOR, 2 * hidden, stage=encoder),
        Piece("final norms", Role.VECTOR, 2 * hidden, stage=decoder),
        Piece("embedding", Role.TIED, shape.vocab_size, hidden),
        Piece("positions", Role.TABLE, shape.max_context_tokens, hidden),
    )
    return Anatomy(
        name=name,
        kind="whisper",
        pieces=pieces,
        attention=_two_sided(shape),
        hidden_size=hidden,
        intermediate_size=wide,
        num_layers=shape.encoder_layers + shape.decoder_layers,
        vocab_size=shape.vocab_size,
        max_context_tokens=shape.max_context_tokens,
        encoder_tokens=shape.encoder_tokens,
    )


def t5_anatomy(name: str, shape: T5Shape) -> Anatomy:
    """Take apart T5: no biases, one embedding for both sides and the head.

        attention = 4·h·heads·d; block = 2·h·i; norm = h
        total = V·h + encoder·(attention + block + 2 norms) + decoder·(2 attention + block
                + 3 norms) + 2·buckets·heads + 2 norms

    Source: transformers T5Model (version 1.0, without gate).
    """
    hidden, wide, inner = (
        shape.hidden_size,
        shape.intermediate_size,
        shape.num_heads * shape.head_dim,
    )
    pieces = [Piece("embedding", Role.TIED, shape.vocab_size, hidden)]
    sides = ((Stage.ENCODER, shape.encoder_layers, 1), (Stage.DECODER, shape.decoder_layers, 2))
    for stage, layers, attentions in sides:
        count = layers * attentions
        pieces += [
            Piece("attention qkv", Role.BODY, 3 * inner, hidden, count, stage=stage),
            Piece("attention out", Role.BODY, hidden, inner, count, stage=stage),
            Piece("block up", Role.BODY, wide, hidden, layers, stage=stage),
            Piece("block down", Role.BODY, hidden, wide, layers, stage=stage),
            Piece("norms", Role.VECTOR, hidden, 1, count + layers + 1, stage=stage),
            Piece("positions", Role.VECTOR, shape.position_buckets * shape.num_heads, stage=stage),
        ]
    return Anatomy(
        name=name,
        kind="t5",
        pieces=tuple(pieces),
        attention=_two_sided(shape),
        hidden_size=hidden,
        intermediate_size=wide,
        num_layers=shape.encoder_layers + shape.decoder_layers,
        vocab_size=shape.vocab_size,
        max_context_tokens=shape.max_context_tokens,
    )


def vit_anatomy(name: str, shape: VitShape) -> Anatomy:
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
    return Anatomy(
        name=name,
        kind="vit",
        pieces=(
            Piece("patches", Role.BODY, hidden, CHANNELS * shape.patch_pixels**2, stage=encoder),
            Piece("patches bias", Role.VECTOR, hidden, stage=encoder),
            Piece("class token", Role.VECTOR, hidden, stage=encoder),
            Piece("positions", Role.TABLE, tokens, hidden, stage=encoder),
            *_tower(hidden, shape.intermediate_size, shape.num_layers),
            Piece("final norm", Role.VECTOR, 2 * hidden, stage=encoder),
            Piece("classes", Role.HEAD, classes, hidden, stage=encoder),
            Piece("classes bias", Role.VECTOR, classes, stage=encoder),
        ),
        attention=(attention,),
        hidden_size=hidden,
        intermediate_size=shape.intermediate_size,
        num_layers=shape.num_layers,
        vocab_size=0,
        max_context_tokens=tokens,
        encoder_tokens=tokens,
    )


def clip_anatomy(name: str, shape: ClipShape) -> Anatomy:
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
    return Anatomy(
        name=name,
        kind="clip",
        pieces=(
            Piece("patches", Role.BODY, hidden, CHANNELS * shape.patch_pixels**2, stage=encoder),
            Piece("class token", Role.VECTOR, hidden, stage=encoder),
            Piece("image positions", Role.TABLE, tokens, hidden, stage=encoder),
            Piece("image norms", Role.VECTOR, 4 * hidden, stage=encoder),
            *_tower(hidden, shape.intermediate_size, shape.num_layers),
            Piece("image projection", Role.HEAD, shape.projection_size, hidden, stage=encoder),
            Piece("embedding", Role.TABLE, shape.vocab_size, text.hidden_size, stage=encoder),
            Piece(
                "positions", Role.TABLE, shape.max_context_tokens, text.hidden_size, stage=encoder
            ),
            *_tower(text.hidden_size, text.intermediate_size, text.num_layers),
            Piece("text norm", Role.VECTOR, 2 * text.hidden_size, stage=encoder),
            Piece(
                "text projection", Role.HEAD, shape.projection_size, text.hidden_size, stage=encoder
            ),
            Piece("logit scale", Role.VECTOR, 1, stage=encoder),
        ),
        attention=attention,
        hidden_size=hidden,
        intermediate_size=shape.intermediate_size,
        num_layers=shape.num_layers + text.num_layers,
        vocab_size=0,
        max_context_tokens=shape.max_context_tokens,
        encoder_tokens=tokens,
    )


def _tower(hidden: int, wide: int, layers: int) -> Iterator[Piece]:
    """Yield the layers of a plain encoder, all with biases and two layer norms."""
    encoder = Stage.ENCODER
    yield Piece("attention qkv", Role.BODY, 3 * hidden, hidden, layers, stage=encoder)
    yield Piece("attention out", Role.BODY, hidden, hidden, layers, stage=encoder)
    yield Piece("block up", Role.BODY, wide, hidden, layers, stage=encoder)
    yield Piece("block down", Role.BODY, hidden, wide, layers, stage=encoder)
    vectors = 4 * hidden + wide + hidden + 4 * hidden
    yield Piece("biases and norms", Role.VECTOR, vectors, 1, layers, stage=encoder)


def _sides(
    hidden: int, wide: int, encoder_layers: int, decoder_layers: int, key_bias: bool
) -> Iterator[Piece]:
    """Yield both sides of an encoder-decoder with biases; a decoder layer attends twice."""
    attention_bias = (4 if key_bias else 3) * hidden
    sides = ((Stage.ENCODER, encoder_layers, 1), (Stage.DECODER, decoder_layers, 2))
    for stage, layers, attentions in sides:
        count = layers * attentions
        yield Piece("attention qkv", Role.BODY, 3 * hidden, hidden, count, stage=stage)
        yield Piece("attention out", Role.BODY, hidden, hidden, count, stage=stage)
        yield Piece("attention biases", Role.VECTOR, attention_bias, 1, count, stage=stage)
        yield Piece("block up", Role.BODY, wide, hidden, layers, stage=stage)
        yield Piece("block down", Role.BODY, hidden, wide, layers, stage=stage)
        yield Piece("block biases", Role.VECTOR, wide + hidden, 1, layers, stage=stage)
        yield Piece("norms", Role.VECTOR, 2 * hidden, 1, count + layers, stage=stage)


def _two_sided(shape: WhisperShape | T5Shape) -> tuple[Attention, ...]:
    """Return attention within the encoder, within the decoder, and from one to the other."""
    heads = (shape.num_heads, shape.num_heads, shape.head_dim)
    return (
        Attention(shape.encoder_layers, *heads, causal=False, stage=Stage.ENCODER),
        Attention(shape.decoder_layers, *heads),
        Attention(shape.decoder_layers, *heads, causal=False, to_encoder=True),
    )
