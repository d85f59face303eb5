"""The commands of the child that judges encoders: texts, compare.

`python -m harness.measure.worker harness.quality.embedding_worker` serves them.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from harness.devices.session import open_session
from harness.devices.table import Device, find_device
from harness.graph.geometry import EncoderGeometry
from harness.measure.memory import memory_mark
from harness.quality.ranking import Embeddings, Vectors, cosines, kendall_taus, same_nearest
from harness.quality.ranking_set import Texts, read_ranking
from harness.workload.encoder import EncoderSession, are_embeddings

Json = dict[str, Any]


def texts(folder: str | None, vocab_size: int, max_tokens: int, seed: int) -> Json:
    """Read the ranking set as a model's tokens; see read_ranking.

    Returns:
        `queries` and `passages`, lists of token ids; `name`; `tokenization`.
    """
    read = read_ranking(None if folder is None else Path(folder), vocab_size, max_tokens, seed)
    return {**asdict(read), "tokenization": str(read.tokenization)}


def compare(
    twin: Json, level: Json, device: str, threads: int, queries: Texts, passages: Texts
) -> Json:
    """Hold the embeddings of a level against those of its fp32 twin.

    One text is one pass at its own length: no filling, and the 8-bit scales of a pass are those of
    one text.

    Args:
        twin: `graph` (a path) and `geometry` (its fields).
        level: the same of the level.
        device: a key of the device table.
        threads: intra-op threads.
        queries: token ids of each.
        passages: token ids of each.

    Returns:
        `cosines` of every text, queries first; of every query `same_nearest` and `taus`; all empty
        where `bad` says whose embedding is no number ({model, text}), else `bad` is null;
        `peak_bytes`: high-water mark of this process.
    """
    row = find_device(device)
    found = {
        name: embed_texts(fields, row, threads, [*queries, *passages])
        for name, fields in (("twin", twin), ("level", level))
    }
    bad = next(
        (
            _first_bad(name, vectors)
            for name, vectors in found.items()
            if not are_embeddings(vectors).all()
        ),
        None,
    )
    peak_bytes = memory_mark().peak_bytes
    if bad is not None:
        return {"cosines": [], "same_nearest": [], "taus": [], "bad": bad, "peak_bytes": peak_bytes}
    theirs, ours = (
        Embeddings(*np.split(found[name], [len(queries)])) for name in ("twin", "level")
    )
    return {
        "cosines": cosines(found["level"], found["twin"]).tolist(),
        "same_nearest": same_nearest(ours, theirs).tolist(),
        "taus": kendall_taus(ours, theirs).tolist(),
        "bad": None,
        "peak_bytes": peak_bytes,
    }


def embed_texts(fields: Json, device: Device, threads: int, wanted: Texts) -> Vectors:
    """Embed each text in a pass of its own [texts, hidden]; the session is closed again."""
    opened = open_session(Path(fields["graph"]), device, threads)
    encoder = EncoderSession(opened, EncoderGeometry(**fields["geometry"]))
    rows = [encoder.encode(np.asarray([ids], dtype=np.int64))[0].copy() for ids in wanted]
    return np.stack(rows)


def _first_bad(model: str, vectors: Vectors) -> Json:
    """Name the first text whose embedding holds what is no number."""
    return {"model": model, "text": int(np.argmin(are_embeddings(vectors)))}


COMMANDS = {"texts": texts, "compare": compare}
