"""The parent's side: one level of one model against its fp32 twin, in a child process."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from harness.artifacts.artifact import Artifact
from harness.errors import UsageError
from harness.measure.worker import Worker
from harness.quality.chunks import DEFAULT_PLAN, ChunkPlan, check_plan
from harness.quality.summary import DECODE, PREFILL, PathQuality, TokenScores, summarize_path
from harness.quality.texts import Tokenization
from harness.weights.source import ModelSource

Json = dict[str, Any]

WORKER_MODULE = "harness.quality.worker"
TWIN_LEVEL = "fp32"
NUMERIC_ONLY = "numeric fidelity only"


@dataclass(frozen=True, slots=True)
class Quality:
    """How well one level keeps what its fp32 twin says.

    Attributes:
        model: its name.
        level: the level that was judged.
        label: `numeric fidelity only` where weights or tokens are random; else empty. The numbers
            then tell rounding apart and say nothing about text.
        text: name of the text, or that there was none.
        tokenization: `tokenizer.json`, `bytes` or `none`.
        chunk_tokens: tokens of one pass of the prefill path.
        prefill: a chunk a pass; None where `invalid` says why.
        decode: a token a pass; None likewise.
        invalid: where a logit is no number, which makes both paths worthless; else None.
        peak_bytes: high-water mark of the child, both models' weights included.
    """

    model: str
    level: str
    label: str
    text: str
    tokenization: str
    chunk_tokens: int
    prefill: PathQuality | None
    decode: PathQuality | None
    invalid: str | None
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class BytesPerToken:
    """Bytes of UTF-8 text that one token of a tokenizer stands for, on the bundled texts."""

    english: float
    korean: float


def measure_quality(
    source: ModelSource,
    twin: Artifact,
    level: Artifact,
    *,
    device: str | Json = "cpu",
    threads: int = 1,
    plan: ChunkPlan = DEFAULT_PLAN,
    text: str | None = None,
    seed: int = 0,
    timeout_s: float = 3600,
) -> Quality:
    """Measure one level on both paths, in one fresh child.

    Args:
        source: the model, whose folder holds the tokenizer.
        twin: the model built at fp32.
        level: the same weights at the level to be judged; may be the twin itself.
        device: as it travels, or a key of the device table; both models run on it.
        threads: intra-op threads.
        plan: which part of the text is read, in what chunks.
        text: `english`, `korean` or a path; None: see harness.quality.texts.read_tokens.
        seed: of token ids where the model has no tokenizer.
        timeout_s: limit of one path.

    Raises:
        UsageError: `twin` is not the level's fp32 twin, or a plan the model cannot follow.
        WorkerError: the text, the tokenizer or a graph cannot be used (the child's problem, fix
            and exit code are kept), or the child died, hung or ran out of memory.
    """
    check_twin(twin, level)
    check_plan(plan, level.geometry.vocab_size, level.geometry.max_context_tokens)
    with Worker.start(WORKER_MODULE) as worker:
        read = worker.ask("tokens", timeout_s, **_text_arguments(source, level, text, plan, seed))
        shared = {
            "twin": _graphs(twin),
            "level": _graphs(level),
            "device": device,
            "threads": threads,
            "chunks": read["chunks"],
        }
        replies = _ask_paths(lambda path: worker.ask("evaluate", timeout_s, path=path, **shared))
    return _quality(source, level, plan, read, replies)


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
        worker.ask("tokens", timeout_s, **_text_arguments(source, level, text, plan, seed))


def text_bytes_per_token(source: ModelSource, timeout_s: float = 600) -> BytesPerToken | None:
    """Bytes per token of the model's own tokenizer; None for a model without one.

    Raises:
        WorkerError: the tokenizer cannot be used, or the package `tokenizers` is missing.
    """
    with Worker.start(WORKER_MODULE) as worker:
        reply = worker.ask(
            "tokenizer_bytes",
            timeout_s,
            folder=_folder(source),
            vocab_size=source.spec.vocab_size,
        )
    return None if reply is None else BytesPerToken(**reply)


def check_twin(twin: Artifact, level: Artifact) -> None:
    """Refuse a pair that is not one model at two levels.

    Raises:
        UsageError: the twin is not built at fp32, or has other weights or another architecture.
    """
    if twin.level != TWIN_LEVEL:
        raise UsageError(
            f"{twin.name} at {twin.level} cannot be the twin of {level.name} at {level.level}",
            fix=f"build the twin at {TWIN_LEVEL}",
        )
    same = twin.weights_identity == level.weights_identity and twin.spec == level.spec
    if not same:
        raise UsageError(
            f"{twin.name} ({twin.weights_identity}) is not the fp32 twin of {level.name} "
            f"({level.weights_identity})",
            fix="build both levels from one model, with one seed",
        )


def _ask_paths(ask: Callable[[str], Json]) -> dict[str, Json]:
    """Evaluate path after path, up to the first with a logit that is no number."""
    replies = {}
    for path in (PREFILL, DECODE):
        replies[path] = ask(path)
        if replies[path]["bad"] is not None:
            break
    return replies


def _quality(
    source: ModelSource, level: Artifact, plan: ChunkPlan, read: Json, replies: dict[str, Json]
) -> Quality:
    """The record of what the child replied."""
    bad = [_bad_words(path, reply["bad"]) for path, reply in replies.items() if reply["bad"]]
    random = source.weights_kind == "seeded" or read["tokenization"] == Tokenization.NONE
    in_bytes = read["tokenization"] == Tokenization.BYTES
    paths = {
        path: None if bad else _summary(path, reply, plan.chunk_tokens, in_bytes)
        for path, reply in replies.items()
    }
    return Quality(
        model=level.name,
        level=level.level,
        label=NUMERIC_ONLY if random else "",
        text=read["text"],
        tokenization=read["tokenization"],
        chunk_tokens=plan.chunk_tokens,
        prefill=paths.get(PREFILL),
        decode=paths.get(DECODE),
        invalid=bad[0] if bad else None,
        peak_bytes=max(reply["peak_bytes"] for reply in replies.values()),
    )


def _summary(path: str, reply: Json, chunk_tokens: int, tokens_are_bytes: bool) -> PathQuality:
    """The metrics of one path."""
    scores = TokenScores(
        kl_nats=reply["kl_nats"],
        same_top=reply["same_top"],
        reference_nll_nats=reply["reference_nll_nats"],
        candidate_nll_nats=reply["candidate_nll_nats"],
    )
    return summarize_path(path, scores, chunk_tokens, tokens_are_bytes)


def _bad_words(path: str, bad: Json) -> str:
    """A sentence on the first logits that are no numbers."""
    whose = "the fp32 twin's" if bad["model"] == "twin" else "the level's"
    place = f"{path} path, chunk {bad['chunk']}, token {bad['token']}"
    layer = "" if bad["layer"] is None else f"; the cache of layer {bad['layer']} is the first"
    return f"{whose} logits are not finite ({place}{layer})"


def _text_arguments(
    source: ModelSource, level: Artifact, text: str | None, plan: ChunkPlan, seed: int
) -> Json:
    """What the child is told of the text."""
    return {
        "folder": _folder(source),
        "vocab_size": level.geometry.vocab_size,
        "text": text,
        "plan": asdict(plan),
        "seed": seed,
    }


def _graphs(artifact: Artifact) -> Json:
    """A built model as it travels to the child."""
    return {
        "all_logits": str(artifact.all_logits_graph),
        "last_logits": str(artifact.graph),
        "geometry": asdict(artifact.geometry),
    }


def _folder(source: ModelSource) -> str | None:
    """The model's Hugging Face folder as it travels."""
    return None if source.folder is None else str(source.folder)
