"""What a level loses against its fp32 reference, as journals and documents hold it.

A field that a writer left out is not known.
"""

import msgspec


class Mean(msgspec.Struct, frozen=True):
    """A mean and the 95 % interval around it, all in one unit.

    Attributes:
        value: mean over all tokens, which is the mean of the chunk means: chunks are equally long.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


class PathQuality(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The quality of one level on one path, against the fp32 reference on the same fixed tokens.

    Attributes:
        path: `prefill` (a chunk a pass) or `decode` (a token a pass).
        tokens: tokens scored.
        chunks: chunk means behind each interval.
        kld_nats: Kullback-Leibler divergence a token.
        kld_p99_nats: its 99th percentile over tokens; null from fewer than 459 tokens.
        top1_agreement: share of tokens whose most probable successor is the reference's.
        nll_delta: negative log-likelihood minus the reference's, nats a token.
        perplexity: exp of the mean negative log-likelihood; null where no float holds it.
        reference_perplexity: the reference's on the same tokens.
        bits_per_byte: mean negative log2-likelihood of a byte; null where tokens are not bytes.
        reference_bits_per_byte: the reference's.
    """

    path: str = ""
    tokens: int = 0
    chunks: int = 0
    kld_nats: Mean | None = None
    kld_p99_nats: float | None = None
    top1_agreement: Mean | None = None
    nll_delta: Mean | None = None
    perplexity: Mean | None = None
    reference_perplexity: float | None = None
    bits_per_byte: Mean | None = None
    reference_bits_per_byte: float | None = None


class EmbeddingScores(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How near the embeddings of a level are to its reference's.

    Attributes:
        texts: queries and passages embedded.
        queries: of them queries, each ranking all passages.
        embedding_cosine: cosine of a text's two embeddings, mean over texts.
        embedding_cosine_min: the smallest one.
        nearest_agreement: share of queries whose nearest passage is the reference's.
        ranking_tau: Kendall's tau of both rankings of the passages, mean over queries.
    """

    texts: int = 0
    queries: int = 0
    embedding_cosine: Mean | None = None
    embedding_cosine_min: float | None = None
    nearest_agreement: Mean | None = None
    ranking_tau: Mean | None = None


class GroupLoss(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one group of matrices loses at a level while everything else stays at fp32.

    Attributes:
        group: its name.
        saved_bytes: what storing it at the level saves.
        kld_nats: divergence from the fp32 reference a token, prefill path; null: see `invalid`.
        kld_nats_per_mib: kld_nats over MiB saved; null likewise.
        invalid: where a logit is no number, or null.
    """

    group: str
    saved_bytes: int
    kld_nats: Mean | None = None
    kld_nats_per_mib: float | None = None
    invalid: str | None = None


class Quality(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How well one level keeps what its fp32 reference says, or why that is not known.

    Attributes:
        model: its name.
        level: the level that was judged.
        cache: of a decoder, the cache level that was judged with it, on both paths.
        label: `numeric fidelity only` where weights or tokens are random; else empty. The numbers
            then tell rounding apart and say nothing about text.
        text: name of the text or the set, or that there was none.
        tokenization: `tokenizer.json`, `bytes` or `none`.
        chunk_tokens: of a decoder, tokens of one pass of the prefill path.
        prefill: of a decoder, a chunk a pass; null where `invalid` says why.
        decode: of a decoder, a token a pass; null likewise.
        encode: of an encoder, the scores of its embeddings; null likewise.
        invalid: what is no number, which makes the level worthless; else null.
        peak_bytes: high-water mark of the child, both models' weights included.
        reference: name of the other model that stood in; null: its own fp32 reference.
        sensitivity: what each group of matrices loses; null: not asked for.
        reason: why nothing is known; null where it is.
    """

    model: str | None = None
    level: str | None = None
    cache: str | None = None
    label: str | None = None
    text: str | None = None
    tokenization: str | None = None
    chunk_tokens: int | None = None
    prefill: PathQuality | None = None
    decode: PathQuality | None = None
    encode: EmbeddingScores | None = None
    invalid: str | None = None
    peak_bytes: int | None = None
    reference: str | None = None
    sensitivity: tuple[GroupLoss, ...] | None = None
    reason: str | None = None
