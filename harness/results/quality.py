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
        rms_delta_p: root mean square of the change of the true token's probability.
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
    rms_delta_p: Mean | None = None
    nll_delta: Mean | None = None
    perplexity: Mean | None = None
    reference_perplexity: float | None = None
    bits_per_byte: Mean | None = None
    reference_bits_per_byte: float | None = None


class TaskScores(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a level chooses of questions with choices, beside its fp32 reference.

    Attributes:
        name: of the set: its file, or that it is the built-in one.
        digest: of the file: two results of one digest answered the same questions.
        items: questions.
        chance: share of right answers by guessing.
        task_accuracy: share of right answers, with Wilson's interval.
        reference_accuracy: the reference's.
        task_flips: share of items that one of the two has right and the other wrong, likewise.
        lost: items that the reference alone has right.
        won: items that the level alone has right.
        moved: items that both have wrong, with different choices.
        mcnemar_p: exact two-sided p of `lost` against `won`: below 0.05 the two differ.
        reason: why nothing is known; null where it is.
    """

    name: str | None = None
    digest: str | None = None
    items: int = 0
    chance: float | None = None
    task_accuracy: Mean | None = None
    reference_accuracy: Mean | None = None
    task_flips: Mean | None = None
    lost: int = 0
    won: int = 0
    moved: int = 0
    mcnemar_p: float | None = None
    reason: str | None = None


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
        tasks: of a decoder, what it chooses of questions with choices; null: not asked for.
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
    tasks: TaskScores | None = None
    sensitivity: tuple[GroupLoss, ...] | None = None
    reason: str | None = None
