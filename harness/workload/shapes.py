"""What a caller must know of any model's graphs, ours or foreign, as it travels to a worker."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness.graph.geometry import Geometry, geometry_from
from harness.workload.foreign.geometry import ForeignGeometry, foreign_geometry, geometry_json

Shapes = Geometry | ForeignGeometry


def shapes_json(shapes: Shapes) -> dict[str, Any]:
    """As plain values."""
    return geometry_json(shapes) if isinstance(shapes, ForeignGeometry) else asdict(shapes)


def shapes_from(fields: Mapping[str, Any]) -> Shapes:
    """What shapes_json wrote."""
    return foreign_geometry(fields) or geometry_from(fields)
