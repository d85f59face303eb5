"""The commands of the child that measures quality: tokens, evaluate, mixtures, tokenizer_bytes.

`python -m harness.machine.process.serve harness.runner.quality.worker` serves them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.builder.graph.geometry import decoder_geometry_from
from harness.builder.quantize.levels import find_level
from harness.core.errors import UsageError
from harness.devices.device import SentDevice, find_device
from harness.engine.passes import seeded_ids
from harness.machine.meters.memory import memory_mark
from harness.models.gguf.source import gguf_geometry_from
from harness.models.specs.model import ModelSpec
from harness.models.texts.tokens import Tokenization, bytes_per_token, read_tokens, tokenization_of
from harness.results.entries import TextBytes
from harness.runner.quality.chunks import ChunkPlan, cut_chunks
from harness.runner.quality.divergence import Divergence
from harness.runner.quality.mixing import write_mixtures
from harness.runner.quality.paths import OPENERS, GraphFiles, open_prefill
from harness.runner.quality.replies import (
    Evaluated,
    Mixture,
    Mixtures,
    SentGraphs,
    TokenizerBytes,
    TokensRead,
)
from harness.runner.quality.scoring import score_chunks

SEEDED_TEXT = "seeded random token ids"


def tokens(
    folder: str | None, vocab_size: int, text: str | None, plan: ChunkPlan, seed: int
) -> TokensRead:
    """Cut the text of a model into chunks of token ids.

    Args:
        folder: its Hugging Face folder; None: seeded weights.
        vocab_size: rows of its embedding.
        text: see read_tokens.
        plan: that the model can follow.
        seed: of the token ids of a model without a tokenizer.

    Raises:
        UsageError: a text for a model without a tokenizer; or as read_tokens and cut_chunks.
        ModelError: as read_tokens.
    """
    home = None if folder is None else Path(folder)
    tokenization = tokenization_of(home, vocab_size)
    if home is None or tokenization is Tokenization.NONE:
        _refuse_text(text)
        ids = seeded_ids(seed, 1, plan.tokens + 1, vocab_size)[0].tolist()
        name, begin_id = SEEDED_TEXT, None
    else:
        read = read_tokens(home, vocab_size, text)
        name, ids, begin_id = read.name, read.ids, read.begin_id
    chunks = cut_chunks(ids, plan, begin_id, name)
    return TokensRead(chunks=chunks, text=name, tokenization=str(tokenization))


def evaluate(
    path: str,
    reference: SentGraphs,
    level: SentGraphs,
    device: str | SentDevice,
    threads: int,
    chunks: Sequence[Sequence[int]],
) -> Evaluated:
    """Score a level against its fp32 reference on one path; two sessions are open, no more.

    The reference reads each chunk in one pass on both paths: in float32 passes of one token give
    the same distributions up to rounding (tested), at several times the cost.

    Args:
        path: `prefill` or `decode`: how the level reads.
        reference: its graphs.
        level: the same of the level.
        device: as it travels, or a key of the device table; the reference of a static decoder,
            which is a fused one, is read on the CPU.
        threads: intra-op threads.
        chunks: lists of token ids, equally long; see cut_chunks.
    """
    row, chunk_tokens, files = find_device(device), len(chunks[0]) - 1, graph_files(level)
    host = find_device("cpu") if files.geometry.is_static else row
    exact = open_prefill(graph_files(reference), host, threads, chunk_tokens)
    candidate = OPENERS[path](files, row, threads, chunk_tokens)
    scored = score_chunks(exact, candidate, chunks)
    return Evaluated(**_lists(scored.scores), bad=scored.bad, peak_bytes=memory_mark().peak_bytes)


def mixtures(spec: ModelSpec, reference: str, level: str, folder: str) -> Mixtures:
    """Write the graphs of harness.runner.quality.mixing into a folder with both data files.

    Args:
        spec: the architecture.
        reference: name of the level that everything else is held at.
        level: name of the level of one group at a time.
        folder: holds `reference.data` and `level.data`.
    """
    written = write_mixtures(spec, find_level(reference), find_level(level), Path(folder))
    return Mixtures(
        groups=tuple(
            Mixture(name=group.name, saved_bytes=group.saved_bytes, graph=str(path))
            for group, path in written
        )
    )


def tokenizer_bytes(folder: str | None, vocab_size: int) -> TokenizerBytes:
    """Bytes of text per token of each bundled text; null where the model has no tokenizer."""
    found = bytes_per_token(None if folder is None else Path(folder), vocab_size)
    return TokenizerBytes(found=None if found is None else TextBytes(**found))


def _refuse_text(text: str | None) -> None:
    """A model without a tokenizer reads no text, whatever was asked for."""
    if text is not None:
        raise UsageError(
            f"the model has no tokenizer to read the text {Path(text).name!r} with",
            fix="leave the text out: its token ids are then random, and labelled so",
        )


def graph_files(sent: SentGraphs) -> GraphFiles:
    """The graphs of a model, as they travelled."""
    return GraphFiles(
        all_logits=Path(sent.all_logits),
        last_logits=Path(sent.last_logits),
        geometry=gguf_geometry_from(sent.geometry) or decoder_geometry_from(sent.geometry),
    )


def _lists(scores: Divergence | None) -> dict[str, tuple[Any, ...]]:
    """Scores as plain numbers."""
    names = ("kl_nats", "same_top", "reference_nll_nats", "candidate_nll_nats")
    return {name: () if scores is None else tuple(getattr(scores, name).tolist()) for name in names}


COMMANDS = {
    "tokens": tokens,
    "evaluate": evaluate,
    "mixtures": mixtures,
    "tokenizer_bytes": tokenizer_bytes,
}
