"""Exact stored bytes of a model at a level, from its architecture alone."""

from harness.builder.quantize.layout import stored_arrays
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import AnySpec
from harness.models.specs.tensors import built_parameters


def stored_bytes(spec: AnySpec, level: QuantLevel) -> int:
    """Bytes of every initializer of the built model, scales and padding weights included.

    A tied head is counted once: both uses read the same bytes. Left out: the text of the graphs,
    the alignment between arrays, and the rotary tables, which are computed when a session loads.
    """
    return sum(array.size_bytes for array in stored_arrays(spec, level))


def bits_per_weight(spec: AnySpec, level: QuantLevel) -> float:
    """Stored bits per trained parameter that is stored, overhead included.

    8 · stored_bytes / built parameters
    """
    return 8 * stored_bytes(spec, level) / built_parameters(spec)
