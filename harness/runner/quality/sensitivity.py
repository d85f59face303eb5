"""Which matrices of a model a level costs most: one group at a time is held at it, in one child."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from harness.builder.graph.mixture import LEVEL_DATA, REFERENCE_DATA
from harness.core.errors import StorageError
from harness.core.units import MIB
from harness.devices.device import SentDevice
from harness.machine.process.worker import Worker
from harness.models.weights.source import ModelSource
from harness.results.quality import GroupLoss
from harness.runner.quality.chunks import DEFAULT_PLAN, ChunkPlan, check_plan
from harness.runner.quality.measure import (
    WORKER_MODULE,
    bad_words,
    check_own_reference,
    graphs,
    scores_of,
    text_arguments,
)
from harness.runner.quality.replies import Evaluated, Mixture, Mixtures, TokensRead
from harness.runner.quality.summary import PREFILL, summarize_path
from harness.store.artifact import Artifact
from harness.store.links import link_file

DATA_LINKS = (REFERENCE_DATA, LEVEL_DATA)


def measure_sensitivity(
    source: ModelSource,
    reference: Artifact,
    level: Artifact,
    *,
    device: str | SentDevice = "cpu",
    threads: int = 1,
    plan: ChunkPlan = DEFAULT_PLAN,
    text: str | None = None,
    seed: int = 0,
    timeout_s: float = 3600,
) -> tuple[GroupLoss, ...]:
    """Measure every group of matrices; the costliest per MiB saved comes first.

    The divergences of groups need not add up to that of the whole level.

    Args:
        source: the model, whose folder holds the tokenizer.
        reference: the model built at fp32.
        level: the same weights at a level of integers.
        device: as it travels, or a key of the device table.
        threads: intra-op threads.
        plan: which part of the text is read, in what chunks.
        text: as measure_quality takes it.
        seed: of token ids where the model has no tokenizer.
        timeout_s: limit of one group.

    Raises:
        UsageError: `reference` is not the level's fp32 reference, or a plan that the model
            cannot follow.
        StorageError: the cache cannot hold the links.
        WorkerError: as measure_quality; also a level of floats.
    """
    check_own_reference(reference, level)
    check_plan(plan, level.geometry.vocab_size, level.geometry.max_context_tokens)
    with _linked(reference, level) as folder, Worker.start(WORKER_MODULE) as worker:
        read = worker.ask(
            "tokens", timeout_s, TokensRead, **text_arguments(source, level, text, plan, seed)
        )
        written = worker.ask(
            "mixtures",
            timeout_s,
            Mixtures,
            spec=level.spec,
            reference=reference.level,
            level=level.level,
            folder=folder,
        )
        losses = [
            _loss(
                group,
                plan,
                worker.ask(
                    "evaluate",
                    timeout_s,
                    Evaluated,
                    path=PREFILL,
                    reference=graphs(reference),
                    level=structs.replace(graphs(reference), all_logits=group.graph),
                    device=device,
                    threads=threads,
                    chunks=read.chunks,
                ),
            )
            for group in written.groups
        ]
    return tuple(sorted(losses, key=lambda loss: -(loss.kld_nats_per_mib or float("inf"))))


@contextmanager
def _linked(reference: Artifact, level: Artifact) -> Iterator[str]:
    """Give a folder in the cache that holds both data files, as links; it goes at the end."""
    cache = reference.folder.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".sensitivity-", dir=cache) as folder:
            for artifact, name in zip((reference, level), DATA_LINKS, strict=True):
                link_file(artifact.data, Path(folder) / name)
            yield folder
    except OSError as error:
        raise StorageError(
            f"the cache cannot hold two linked data files: {error.strerror}",
            fix="choose another cache: --cache DIR",
        ) from error


def _loss(group: Mixture, plan: ChunkPlan, reply: Evaluated) -> GroupLoss:
    """The record of one group."""
    name, saved_bytes = group.name, group.saved_bytes
    if reply.bad is not None:
        return GroupLoss(name, saved_bytes, None, None, bad_words(PREFILL, reply.bad))
    kld = summarize_path(PREFILL, scores_of(reply), plan.chunk_tokens, False).kld_nats
    per_mib = None if kld is None else kld.value / (saved_bytes / MIB)
    return GroupLoss(name, saved_bytes, kld, per_mib)
