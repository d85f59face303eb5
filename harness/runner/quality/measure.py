"""The parent's side: one level of one model against its fp32 reference, in a child process."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TypedDict

from harness.core.errors import UsageError
from harness.devices.device import SentDevice
from harness.machine.process.worker import Worker
from harness.models.texts.tokens import Tokenization
from harness.models.weights.source import ModelSource
from harness.results.entries import TextBytes
from harness.results.quality import Quality
from harness.runner.quality.chunks import DEFAULT_PLAN, ChunkPlan, check_plan
from harness.runner.quality.replies import (
    BadToken,
    Evaluated,
    SentGraphs,
    TokenizerBytes,
    TokensRead,
)
from harness.runner.quality.summary import DECODE, PREFILL, TokenScores, summarize_path
from harness.store.artifact import Artifact
from harness.store.gguf import GgufArtifact

WORKER_MODULE = "harness.runner.quality.worker"
REFERENCE_LEVEL = "fp32"
NUMERIC_ONLY = "numeric fidelity only"
Judged = Artifact | GgufArtifact  # whose levels can be held against a model at fp32


class TextArguments(TypedDict):
    """What the child is told of the text."""

    folder: str | None
    vocab_size: int
    text: str | None
    plan: ChunkPlan
    seed: int


def measure_quality(
    source: ModelSource,
    reference: Artifact,
    level: Judged,
    *,
    other: ModelSource | None = None,
    device: str | SentDevice = "cpu",
    threads: int = 1,
    plan: ChunkPlan = DEFAULT_PLAN,
    text: str | None = None,
    seed: int = 0,
    timeout_s: float = 3600,
) -> Quality:
    """Measure one level on both paths, in one fresh child.

    Args:
        source: the model, whose folder holds the tokenizer.
        reference: the model built at fp32, its cache too, or another that check_reference lets
            pass.
        level: the level to be judged; may be the reference itself.
        other: the model that `reference` is built from; None: the same model.
        device: as it travels, or a key of the device table; both models run on it.
        threads: intra-op threads.
        plan: which part of the text is read, in what chunks.
        text: `english`, `korean` or a path; None: see harness.models.texts.tokens.read_tokens.
        seed: of token ids where the model has no tokenizer.
        timeout_s: limit of one path.

    Raises:
        UsageError: `reference` is not the level's fp32 reference, one that reads other tokens,
            or a plan the model cannot follow.
        WorkerError: the text, the tokenizer or a graph cannot be used (the child's problem, fix
            and exit code are kept), or the child died, hung or ran out of memory.
    """
    if other is None:
        check_own_reference(reference, level)
    else:
        check_reference(other, source)
    check_plan(plan, level.geometry.vocab_size, level.geometry.max_context_tokens)
    with Worker.start(WORKER_MODULE) as worker:
        read = worker.ask(
            "tokens", timeout_s, TokensRead, **text_arguments(source, level, text, plan, seed)
        )
        shared = {
            "reference": graphs(reference),
            "level": graphs(level),
            "device": device,
            "threads": threads,
            "chunks": read.chunks,
        }
        replies = _ask_paths(
            lambda path: worker.ask("evaluate", timeout_s, Evaluated, path=path, **shared)
        )
    return _quality(source, level, other, plan, read, replies)


def check_text(
    source: ModelSource,
    level: Artifact,
    *,
    plan: ChunkPlan = DEFAULT_PLAN,
    text: str | None = None,
    seed: int = 0,
    timeout_s: float = 600,
) -> None:
    """Read the text as measure_quality would, to refuse it before anything is measured.

    Raises:
        UsageError: a plan the model cannot follow.
        WorkerError: the text or the tokenizer cannot be used.
    """
    check_plan(plan, level.geometry.vocab_size, level.geometry.max_context_tokens)
    with Worker.start(WORKER_MODULE) as worker:
        worker.ask(
            "tokens", timeout_s, TokensRead, **text_arguments(source, level, text, plan, seed)
        )


def text_bytes_per_token(source: ModelSource, timeout_s: float = 600) -> TextBytes | None:
    """Bytes per token of the model's own tokenizer; None for a model without one.

    Raises:
        WorkerError: the tokenizer cannot be used, or the package `tokenizers` is missing.
    """
    with Worker.start(WORKER_MODULE) as worker:
        found = worker.ask(
            "tokenizer_bytes",
            timeout_s,
            TokenizerBytes,
            folder=_folder(source),
            vocab_size=source.spec.vocab_size,
        )
    return found.found


def check_own_reference(reference: Artifact, level: Judged) -> None:
    """Refuse a pair that is not one model at two levels.

    Raises:
        UsageError: the reference or its cache is not at fp32; or it has other weights or another
            architecture.
    """
    if reference.level != REFERENCE_LEVEL or reference.cache.name != REFERENCE_LEVEL:
        cache = (
            f" with a cache in {reference.cache.name}" if reference.level == REFERENCE_LEVEL else ""
        )
        raise UsageError(
            f"{reference.name} at {reference.level}{cache} cannot be the fp32 reference of "
            f"{level.name} at {level.level}",
            fix=f"build the reference at {REFERENCE_LEVEL}, its cache too",
        )
    same = reference.weights_identity == level.weights_identity and reference.spec == level.spec
    if not same:
        raise UsageError(
            f"{reference.name} ({reference.weights_identity}) is not the fp32 reference of "
            f"{level.name} ({level.weights_identity})",
            fix="build both levels from one model, with one seed",
        )


def check_reference(reference: ModelSource, source: ModelSource) -> None:
    """Refuse a reference that reads other tokens than the model that is compared with it.

    Raises:
        UsageError: another vocabulary, or another tokenizer.json.
    """
    sizes = (reference.spec.vocab_size, source.spec.vocab_size)
    if sizes[0] != sizes[1]:
        problem = f"has {sizes[0]:,} words, {source.name} {sizes[1]:,}"
    elif _tokenizer_bytes(reference) != _tokenizer_bytes(source):
        problem = f"has another tokenizer than {source.name}"
    else:
        return
    raise UsageError(
        f"--reference {reference.name} {problem}: their probabilities cannot be compared",
        fix="a reference with the same tokenizer, such as the checkpoint a model was made from",
    )


def _tokenizer_bytes(source: ModelSource) -> bytes | None:
    """The tokenizer's file; None where there is none, as with seeded weights."""
    file = None if source.folder is None else source.folder / "tokenizer.json"
    return file.read_bytes() if file is not None and file.is_file() else None


def _ask_paths(ask: Callable[[str], Evaluated]) -> dict[str, Evaluated]:
    """Evaluate path after path, up to the first with a logit that is no number."""
    replies = {}
    for path in (PREFILL, DECODE):
        replies[path] = ask(path)
        if replies[path].bad is not None:
            break
    return replies


def _quality(
    source: ModelSource,
    level: Judged,
    other: ModelSource | None,
    plan: ChunkPlan,
    read: TokensRead,
    replies: dict[str, Evaluated],
) -> Quality:
    """The record of what the child replied."""
    bad = [bad_words(path, reply.bad) for path, reply in replies.items() if reply.bad]
    kinds = {one.weights_kind for one in (source, other) if one is not None}
    random = "seeded" in kinds or read.tokenization == Tokenization.NONE
    in_bytes = read.tokenization == Tokenization.BYTES
    paths = {
        path: None if bad else summarize_path(path, scores_of(reply), plan.chunk_tokens, in_bytes)
        for path, reply in replies.items()
    }
    return Quality(
        model=level.name,
        level=level.level,
        cache=level.cache.name,
        label=NUMERIC_ONLY if random else "",
        text=read.text,
        tokenization=read.tokenization,
        chunk_tokens=plan.chunk_tokens,
        prefill=paths.get(PREFILL),
        decode=paths.get(DECODE),
        invalid=bad[0] if bad else None,
        peak_bytes=max(reply.peak_bytes for reply in replies.values()),
        reference=None if other is None else other.name,
    )


def scores_of(reply: Evaluated) -> TokenScores:
    """What `evaluate` replied, as scores."""
    return TokenScores(
        kl_nats=reply.kl_nats,
        same_top=reply.same_top,
        reference_nll_nats=reply.reference_nll_nats,
        candidate_nll_nats=reply.candidate_nll_nats,
    )


def bad_words(path: str, bad: BadToken) -> str:
    """A sentence on the first logits that are no numbers."""
    whose = "the fp32 reference's" if bad.model == "reference" else "the level's"
    place = f"{path} path, chunk {bad.chunk}, token {bad.token}"
    layer = "" if bad.layer is None else f"; the cache of layer {bad.layer} is the first"
    return f"{whose} logits are not finite ({place}{layer})"


def text_arguments(
    source: ModelSource, level: Judged, text: str | None, plan: ChunkPlan, seed: int
) -> TextArguments:
    """What the child is told of the text."""
    return {
        "folder": _folder(source),
        "vocab_size": level.geometry.vocab_size,
        "text": text,
        "plan": plan,
        "seed": seed,
    }


def graphs(artifact: Judged) -> SentGraphs:
    """A built model as it travels to the child; a GGUF file stands for both graphs."""
    return SentGraphs(
        all_logits=str(artifact.all_logits_graph),
        last_logits=str(artifact.graph),
        geometry=asdict(artifact.geometry),
    )


def _folder(source: ModelSource) -> str | None:
    """The model's Hugging Face folder as it travels."""
    return None if source.folder is None else str(source.folder)
