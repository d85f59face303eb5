"""Builds a static decoder: floats first, ranges from running them, then the level itself."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from harness.devices.reference import open_reference
from harness.errors import UsageError
from harness.graph.static.calibration import EXTREMES, calibration_model, ranges_of
from harness.graph.static.decoder import write_static_decoder
from harness.graph.static.geometry import StaticGeometry, static_geometry, write_cache, write_mask
from harness.quantize.fixed_point import Range
from harness.quantize.levels import STATIC_FLOAT, QuantLevel, find_level
from harness.specs.model import ModelSpec
from harness.weights.store import WeightStore

Ids = NDArray[np.int64]


def build_static_decoder(
    spec: ModelSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    prefill_tokens: int,
    capacity_tokens: int,
    calibration_ids: Ids | None = None,
) -> StaticGeometry:
    """Write a static decoder into `folder`, which exists.

    A fixed-point level is calibrated: the float form of the same decoder is written beside it,
    run over `calibration_ids`, and deleted.

    Args:
        spec: the architecture.
        level: one of the static levels.
        weights: the trained tensors.
        folder: receives the files.
        prefill_tokens: that the prefill graph reads at once.
        capacity_tokens: positions of the cache.
        calibration_ids: [sequences, tokens], each read from an empty cache; None: CALIBRATION
            seeded ids.

    Returns:
        What a caller must know to run it.

    Raises:
        UsageError: shapes that the model does not take, or sequences shorter than a prefill.
        ModelError: a weight is not finite.
        OSError: the files cannot be written.
    """
    geometry = static_geometry(spec, level, prefill_tokens, capacity_tokens)
    ranges: dict[str, Range] = {}
    if level.fixed_point:
        with TemporaryDirectory(dir=folder, prefix="calibration-") as floats:
            ranges = calibrate(spec, level, weights, Path(floats), geometry, calibration_ids)
    write_static_decoder(spec, level, weights, folder, geometry, ranges)
    return geometry


def calibrate(
    spec: ModelSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    geometry: StaticGeometry,
    ids: Ids,
) -> dict[str, Range]:
    """Return the range of every grid of `level`, from the float decoder run over `ids`."""
    floats = find_level(STATIC_FLOAT)
    shapes = static_geometry(spec, floats, geometry.prefill_tokens, geometry.capacity_tokens)
    write_static_decoder(spec, floats, weights, folder, shapes, {})
    model, observed = calibration_model(spec, shapes)
    graph = folder / "calibration.onnx"
    graph.write_bytes(model.SerializeToString())
    session = open_reference(graph)
    lows, highs = np.full(len(observed), np.inf), np.full(len(observed), -np.inf)
    for sequence in ids:
        for extremes in _run(session, shapes, sequence):
            lows = np.minimum(lows, extremes[:, 0])
            highs = np.maximum(highs, extremes[:, 1])
    return ranges_of(np.stack([lows, highs], axis=1), observed, level)
def _run(session, g, ids):
    n=g.prefill_tokens
    keys=[np.zeros(g.key_shape,np.float32) for _ in range(g.num_layers)]; values=[np.zeros(g.value_shape,np.float32) for _ in range(g.num_layers)]
    names=[o.name for o in session.get_outputs()]
    mask=np.zeros((n,g.capacity_tokens+n),np.float32)
    for d in range(0,len(ids)-n+1,n):
        write_mask(mask,g,d)
        f={'input_ids':ids[d:d+n].astype(np.int32),'positions':np.arange(d,d+n,dtype=np.int32),'attention_mask':mask}
        for l in range(g.num_layers): f[f'past_keys.{l}']=keys[l]; f[f'past_values.{l}']=values[l]
        y=dict(zip(names,session.run(None,f)))
        for l in range(g.num_layers):
            write_cache(keys[l],values[l],y[f'new_keys.{l}'],y[f'new_values.{l}'],d,n)
        yield y[EXTREMES]
