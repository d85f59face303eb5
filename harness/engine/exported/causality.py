"""One cheap probe run: does a token see those behind it?

A masked language model and a causal one without a cache look alike in their files: token ids in,
logits of every token out. In a causal one a changed last token leaves all earlier logits alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.devices.device import find_device
from harness.devices.session import open_mapped, open_session
from harness.engine.exported.feeds import feeds_of
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.exported.values import array_of, as_float32
from harness.engine.passes import seeded_ids
from harness.models.exported.model import ExportedGraph, ExportedModel
from harness.models.exported.skeleton import frozen

TEXT_TOKENS = 16
# Activations of int8 share one scale in a pass: an extreme value of the last token moves all
# others by rounding. In a longer text most changes of one token change no extreme, and one such
# change is enough.
LONG_TEXT_TOKENS, CHANGES = 256, 6
MICROSOFT = "com.microsoft"  # of the operators that read weights of few bits
PROBE_S = 60.0  # for all runs of a probe; a graph may compute for ever
MOVED = 1e-5  # largest difference that counts as none, as a share of the largest logit


def is_causal(model: ExportedModel) -> bool | None:
    """Whether no token's logits depend on a later token; None: the probe says nothing.

    Args:
        model: from token ids to logits [batch, tokens, vocab], without a cache.
    """
    graph, geometry = model.main, ExportedGeometry(model)
    if graph.names.ids is None or graph.names.logits is None:
        return None
    usual = LONG_TEXT_TOKENS if any(row.bits == 8 for row in model.storages) else TEXT_TOKENS
    most = min(usual, model.max_context_tokens or usual)
    stated = graph.port(graph.names.ids).shape or ()
    batch, tokens = (
        size if isinstance(size, int) else other
        for size, other in zip(stated, (1, most), strict=True)
    )
    ids = seeded_ids(0, batch, tokens, geometry.vocab_size)
    changes = _changes(ids)[: CHANGES if tokens > TEXT_TOKENS else 1]
    if not changes:
        return None
    try:
        session = _opened(model.path(graph), graph)
        with _ended_in_time() as limits:

            def logits() -> NDArray[np.float32]:
                feeds = feeds_of(graph, ids, 0)
                (found,) = session.run_with_ort_values([graph.names.logits], feeds, limits)
                return as_float32(array_of(found)).copy()

            before = logits()
            if before.ndim != 3 or before.shape[1] != tokens:
                return None
            return any(_stay(logits, before, ids, one) for one in changes)
    except Exception:  # ONNX Runtime's share no class: what cannot be run is told by its name
        return None


def _stay(
    logits: Callable[[], NDArray[np.float32]],
    before: NDArray[np.float32],
    ids: NDArray[np.int64],
    last: NDArray[np.int64],
) -> bool:
    """Whether all logits but the last stay what they were where the last token is another."""
    ids[:, -1] = last
    moved = float(np.abs(logits() - before)[:, :-1].max())
    return moved <= MOVED * float(np.abs(before).max())


@contextmanager
def _ended_in_time() -> Iterator[ort.RunOptions]:
    """Options of runs that ONNX Runtime ends between two nodes, with an error, after PROBE_S."""
    limits = ort.RunOptions()
    timer = Timer(PROBE_S, setattr, (limits, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield limits
    finally:
        timer.cancel()


def _opened(file: Path, graph: ExportedGraph) -> ort.InferenceSession:
    """A session over a graph file whose weights stay where they are.

    One that cannot be had so, such as of a Constant's data in another file, is opened as usual.
    """
    try:
        content = frozen(file, frozenset(graph.input_weights))
        return open_mapped(content, file.parent, prepacked=MICROSOFT in graph.domains)
    except Exception:  # ONNX Runtime's errors share no class of their own
        return open_session(file, find_device("cpu"), 1).session


def _changes(ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Tokens of the text that the last one of each sequence may become; all are others than it."""
    return [row.copy() for row in ids.T[:-1] if (row != ids[:, -1]).all()]
