"""The parent's side for encoders: a level's embeddings against its fp32 reference's."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean

from harness.devices.device import SentDevice
from harness.machine.process.worker import Worker
from harness.models.texts.tokens import Tokenization
from harness.models.weights.source import ModelSource
from harness.results.quality import EmbeddingScores, Mean, Quality
from harness.runner.quality.measure import NUMERIC_ONLY, check_own_reference
from harness.runner.quality.replies import BadText, Compared, RankingRead, SentEncoder
from harness.stats.intervals import t_interval
from harness.store.artifact import Artifact

WORKER_MODULE = "harness.runner.quality.embedding_worker"


def measure_embeddings(
    source: ModelSource,
    reference: Artifact,
    level: Artifact,
    *,
    device: str | SentDevice = "cpu",
    threads: int = 1,
    seed: int = 0,
    timeout_s: float = 3600,
) -> Quality:
    """Measure one level of an encoder, in one fresh child.

    Args:
        source: the model, whose folder holds the tokenizer.
        reference: the model built at fp32.
        level: the same weights at the level to be judged; may be the reference itself.
        device: as it travels, or a key of the device table; both run on it.
        threads: intra-op threads.
        seed: of token ids where the model has no tokenizer.
        timeout_s: limit of the comparison.

    Raises:
        UsageError: `reference` is not the level's fp32 reference.
        WorkerError: the tokenizer or a graph cannot be used, or the child died.
    """
    check_own_reference(reference, level)
    with Worker.start(WORKER_MODULE) as worker:
        read = worker.ask("texts", timeout_s, RankingRead, **_arguments(source, level, seed))
        reply = worker.ask(
            "compare",
            timeout_s,
            Compared,
            reference=_graph(reference),
            level=_graph(level),
            device=device,
            threads=threads,
            queries=read.queries,
            passages=read.passages,
            pairs=read.pairs,
        )
    random = source.weights_kind == "seeded" or read.tokenization == Tokenization.NONE
    return Quality(
        model=level.name,
        level=level.level,
        label=NUMERIC_ONLY if random else "",
        text=read.name,
        tokenization=read.tokenization,
        encode=None if reply.bad else summarize_embeddings(reply),
        invalid=_bad_words(reply.bad) if reply.bad else None,
        peak_bytes=reply.peak_bytes,
    )


def check_ranking(
    source: ModelSource, level: Artifact, *, seed: int = 0, timeout_s: float = 600
) -> None:
    """Read the set as measure_embeddings would, to refuse it before anything is measured.

    Raises:
        WorkerError: the tokenizer cannot be used.
    """
    with Worker.start(WORKER_MODULE) as worker:
        worker.ask("texts", timeout_s, RankingRead, **_arguments(source, level, seed))


def summarize_embeddings(reply: Compared) -> EmbeddingScores:
    """Compute every metric; intervals are Student's t over texts, or over queries.

    Scores of pairs have no cosine.

    Args:
        reply: without a bad text.
    """
    return EmbeddingScores(
        texts=reply.texts,
        queries=len(reply.taus),
        embedding_cosine=_mean(reply.cosines, -1.0) if reply.cosines else None,
        embedding_cosine_min=min(reply.cosines, default=None),
        nearest_agreement=_mean([float(same) for same in reply.same_nearest], 0.0),
        ranking_tau=_mean(reply.taus, -1.0),
    )


def _mean(values: Sequence[float], least: float) -> Mean:
    """Mean and 95 % interval, cut to what the quantity can be: from `least` to 1."""
    interval = t_interval(values)
    return Mean(fmean(values), max(interval.low, least), min(interval.high, 1.0))


def _bad_words(bad: BadText) -> str:
    """A sentence on the first embedding that is no number."""
    whose = "the fp32 reference's" if bad.model == "reference" else "the level's"
    return f"{whose} embeddings are not finite (text {bad.text})"


def _arguments(source: ModelSource, level: Artifact, seed: int) -> dict[str, str | int | None]:
    """What the child is told of the texts."""
    return {
        "folder": None if source.folder is None else str(source.folder),
        "vocab_size": level.geometry.vocab_size,
        "max_tokens": level.geometry.max_context_tokens,
        "seed": seed,
        "pairs": level.geometry.scores,
    }


def _graph(artifact: Artifact) -> SentEncoder:
    """A built encoder as it travels to the child."""
    return SentEncoder(graph=str(artifact.graph), geometry=asdict(artifact.geometry))
