"""The commands of the child that judges encoders: texts, compare.

`python -m harness.machine.process.serve harness.runner.quality.embedding_worker` serves them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import EncoderGeometry
from harness.core.progress import told_parts
from harness.devices.device import Device, SentDevice, find_device
from harness.devices.session import open_session
from harness.engine.encoder import EncoderSession, are_embeddings
from harness.machine.meters.memory import memory_mark
from harness.runner.quality.ranking import (
    Embeddings,
    Scores,
    Vectors,
    cosines,
    kendall_taus,
    same_nearest,
)
from harness.runner.quality.ranking_set import Pair, Texts, read_ranking
from harness.runner.quality.replies import BadText, Compared, RankingRead, SentEncoder


def texts(
    folder: str | None, vocab_size: int, max_tokens: int, seed: int, pairs: bool = False
) -> RankingRead:
    """Read the ranking set as a model's tokens; see read_ranking."""
    place = None if folder is None else Path(folder)
    read = read_ranking(place, vocab_size, max_tokens, seed, pairs=pairs)
    return RankingRead(
        name=read.name,
        tokenization=str(read.tokenization),
        queries=read.queries,
        passages=read.passages,
        pairs=list(read.pairs),
    )


def compare(
    reference: SentEncoder,
    level: SentEncoder,
    device: str | SentDevice,
    threads: int,
    queries: Texts,
    passages: Texts,
    pairs: Sequence[Pair] = (),
) -> Compared:
    """Compare the embeddings of a level, or its scores of pairs, with those of its fp32 reference.

    One text is one pass at its own length: no filling, and the 8-bit scales of a pass are those of
    one text.

    Args:
        reference: its graph.
        level: the same of the level.
        device: as it travels, or a key of the device table.
        threads: intra-op threads.
        queries: token ids of each.
        passages: token ids of each.
        pairs: ids and types of each query with each of some passages; none: embeddings.
    """
    if pairs:
        return _compare_scores(reference, level, find_device(device), threads, len(queries), pairs)
    row, wanted = find_device(device), [*queries, *passages]
    found = {
        "reference": embed_texts(reference, row, threads, wanted),
        "level": embed_texts(level, row, threads, wanted),
    }
    bad = [_first_bad(name, rows) for name, rows in found.items() if not are_embeddings(rows).all()]
    scores = {} if bad else _scores(found["level"], found["reference"], len(queries))
    return Compared(
        **scores,
        texts=len(wanted),
        bad=bad[0] if bad else None,
        peak_bytes=memory_mark().peak_bytes,
    )


def _compare_scores(
    reference: SentEncoder,
    level: SentEncoder,
    row: Device,
    threads: int,
    queries: int,
    pairs: Sequence[Pair],
) -> Compared:
    """Compare by what order both put the passages of each query in; of several scores the last."""
    found = {
        name: _score_pairs(sent, row, threads, pairs)
        for name, sent in (("reference", reference), ("level", level))
    }
    bad = [
        BadText(model=name, text=int(np.argmin(np.isfinite(scores))))
        for name, scores in found.items()
        if not np.isfinite(scores).all()
    ]
    lists: dict[str, tuple[Any, ...]] = {}
    if not bad:
        ours, theirs = (
            Scores(found[name].reshape(queries, -1).astype(np.float64))
            for name in ("level", "reference")
        )
        lists = {
            "same_nearest": tuple(same_nearest(ours, theirs).tolist()),
            "taus": tuple(kendall_taus(ours, theirs).tolist()),
        }
    return Compared(
        **lists,
        texts=len(pairs),
        bad=bad[0] if bad else None,
        peak_bytes=memory_mark().peak_bytes,
    )


def _score_pairs(
    sent: SentEncoder, device: Device, threads: int, pairs: Sequence[Pair]
) -> NDArray[np.float32]:
    """Score each pair in a pass of its own [pairs]; the session is closed again."""
    opened = open_session(Path(sent.graph), device, threads)
    encoder = EncoderSession(opened, EncoderGeometry(**sent.geometry))
    given = (
        encoder.encode(np.asarray([ids], np.int64), types=np.asarray([types], np.int64))
        for ids, types in told_parts(pairs, "pairs")
    )
    return np.array([scores[0, -1] for scores in given], np.float32)


def _scores(level: Vectors, reference: Vectors, queries: int) -> dict[str, tuple[Any, ...]]:
    """Every value behind the metrics; the first `queries` vectors are those of queries."""
    ours, theirs = (Embeddings(rows[:queries], rows[queries:]) for rows in (level, reference))
    return {
        "cosines": tuple(cosines(level, reference).tolist()),
        "same_nearest": tuple(same_nearest(ours, theirs).tolist()),
        "taus": tuple(kendall_taus(ours, theirs).tolist()),
    }


def embed_texts(sent: SentEncoder, device: Device, threads: int, wanted: Texts) -> Vectors:
    """Embed each text in a pass of its own [texts, hidden]; the session is closed again."""
    opened = open_session(Path(sent.graph), device, threads)
    encoder = EncoderSession(opened, EncoderGeometry(**sent.geometry))
    rows = [
        encoder.encode(np.asarray([ids], dtype=np.int64))[0].copy()
        for ids in told_parts(wanted, "texts")
    ]
    return np.stack(rows)


def _first_bad(model: str, vectors: Vectors) -> BadText:
    """Name the first text whose embedding holds what is no number."""
    return BadText(model=model, text=int(np.argmin(are_embeddings(vectors))))


COMMANDS = {"texts": texts, "compare": compare}
