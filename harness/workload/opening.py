"""From an opened session to what measures it: a decoder with a cache, or an encoder."""

from harness.devices.session import OpenedSession
from harness.graph.geometry import EncoderGeometry, Geometry
from harness.workload.decoder import DecoderSession
from harness.workload.encoder import EncoderSession
from harness.workload.encoding import EncoderMeasuring
from harness.workload.measuring import Measuring


def open_measuring(
    opened: OpenedSession, geometry: Geometry, batch: int, capacity_tokens: int, seed: int
) -> Measuring | EncoderMeasuring:
    """Allocate what a model's tests need.

    Args:
        opened: the session.
        geometry: of its graph; tells which kind of model it is.
        batch: sequences of a decoder; an encoder's are those of each test.
        capacity_tokens: positions of a decoder's cache.
        seed: of token ids and cache.

    Raises:
        UsageError: a cache that the model does not take.
    """
    if isinstance(geometry, EncoderGeometry):
        return EncoderMeasuring(EncoderSession(opened, geometry), seed)
    return Measuring(DecoderSession(opened, geometry, batch, capacity_tokens), seed)
