"""What a caller must know of any model's graphs, ours or exported, as it travels to a worker."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import singledispatch
from typing import Any

from harness.builder.graph.geometry import Geometry, geometry_from
from harness.engine.exported.geometry import ExportedGeometry, exported_geometry, geometry_json

Shapes = Geometry | ExportedGeometry


@singledispatch
def shapes_json(shapes: Shapes) -> dict[str, Any]:
    """As plain values: the fields of a geometry of ours, or what geometry_json makes of a model."""
    return asdict(shapes)


shapes_json.register(ExportedGeometry, geometry_json)


def shapes_from(fields: Mapping[str, Any]) -> Shapes:
    """What shapes_json wrote."""
    return exported_geometry(fields) or geometry_from(fields)
