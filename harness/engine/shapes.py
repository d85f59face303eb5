"""What a caller must know of any model's graphs, ours or exported, as it travels to a worker."""

from dataclasses import asdict
from functools import singledispatch
from typing import Any

import msgspec

from harness.builder.graph.geometry import Geometry, geometry_from
from harness.engine.exported.geometry import ExportedGeometry, exported_geometry, geometry_json
from harness.models.gguf.source import GgufGeometry
from harness.models.served import ServedGeometry

Shapes = Geometry | ExportedGeometry | GgufGeometry
ShapeFields = dict[str, Any]  # of one of them as it travels: only shapes_from looks inside


class FusedGraph(msgspec.Struct, frozen=True, kw_only=True):
    """What a static graph has to agree with.

    Attributes:
        graph: path of the fused graph at fp32.
        geometry: of it.
        level: of the static one.
    """

    graph: str
    geometry: ShapeFields
    level: str


@singledispatch
def shapes_json(shapes: Shapes | ServedGeometry) -> ShapeFields:
    """As plain values: the fields of a geometry of ours, or what geometry_json makes of a model."""
    return asdict(shapes)


shapes_json.register(ExportedGeometry, geometry_json)


def shapes_from(fields: ShapeFields) -> Shapes:
    """What shapes_json wrote."""
    return exported_geometry(fields) or geometry_from(fields)
