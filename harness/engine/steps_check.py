"""Whether an exported decoder's steps continue what its prefill began: its own two ways compared.

A wrong mask or position, or a cache fed to the wrong input, changes every logit; so does an export
that was traced for one length only. The speed of such a graph says nothing about the model.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.devices.device import SentDevice, find_device
from harness.engine.exported.geometry import DECODERS, ExportedGeometry
from harness.engine.opening import kind_of, open_sessions
from harness.engine.passes import seeded_ids
from harness.engine.shapes import ShapeFields, shapes_from
from harness.models.exported.sizes import Axis, fixed_sizes
from harness.results.replies import StepsCheck

if TYPE_CHECKING:  # imported with the models that need it
    from harness.engine.exported.decoder import ExportedDecoder

PROMPT_TOKENS, STEPS = 5, 3
# Largest difference of two logits, as a share of the largest logit: of floats as rounding goes; of
# activations that are quantized anew in every pass, whose scales depend on the other tokens.
BOUNDS = {"float32": 1e-3, "float16": 3e-2, "bfloat16": 1e-1}
QUANTIZED_BOUND = 0.25


def steps_check(
    graph: str, geometry: ShapeFields, device: str | SentDevice, threads: int, batch: int, seed: int
) -> StepsCheck:
    """Read the same tokens in one pass, and as a prompt with steps behind it.

    Args:
        graph: path of the graph that stands for the model.
        geometry: as harness.engine.shapes sends it.
        device: as it travels, or a key of the device table.
        threads: intra-op threads.
        batch: sequences at once.
        seed: of the tokens.

    Returns:
        The largest difference beside its bound; all null where there is nothing to compare: a
        model that is no decoder, keeps no cache, or reads one number of tokens in every pass.
    """
    shapes = shapes_from(geometry)
    known = kind_of(shapes).recognised()
    if known is None or known.model.kind not in DECODERS:
        return StepsCheck()
    sessions = open_sessions(Path(graph), known, find_device(device), threads)
    from harness.engine.exported.opening import open_steps

    decoder = open_steps(sessions, known, batch, PROMPT_TOKENS + STEPS, seed)
    if not decoder.has_cache or Axis.TOKENS in fixed_sizes(known.model.main, dict(known.dims)):
        return StepsCheck()
    difference, bound = _difference(decoder, seed), bound_of(known)
    return StepsCheck(difference=difference, bound=bound, agrees=bool(difference <= bound))


def bound_of(geometry: ExportedGeometry) -> float:
    """The widest bound that anything in the model asks for."""
    storages = geometry.model.storages
    if any(storage.bits <= 8 for storage in storages):
        return QUANTIZED_BOUND
    types = {port.element_type for graph in geometry.model.graphs for port in graph.outputs}
    half = any(storage.bits == 16 for storage in storages)
    return max([BOUNDS.get(name, 0.0) for name in types] + [BOUNDS["float16"] * half])


def _difference(decoder: "ExportedDecoder", seed: int) -> float:
    """The largest difference over the last token of the prompt and every step."""
    ids = seeded_ids(seed, decoder.batch, PROMPT_TOKENS + STEPS, decoder.vocab_size)
    # what begins a text behind an encoder reads one token at a time there
    prompt = 1 if decoder.prefix_tokens else PROMPT_TOKENS
    whole = [decoder.read_whole(ids[:, :end]).copy() for end in range(prompt, ids.shape[1] + 1)]
    decoder.fill(0, seed)
    steps = [decoder.prefill(ids[:, :prompt])[:, -1].copy()]
    for at in range(prompt, ids.shape[1]):
        steps.append(decoder.prefill(ids[:, at : at + 1])[:, -1].copy())
    largest = max(float(np.abs(logits).max()) for logits in whole) or 1.0
    pairs = zip(whole, steps, strict=True)
    return max(float(np.abs(one - other).max()) for one, other in pairs) / largest
