"""Collects the nodes of a static graph, each float tensor written through its fixed-point grid.

At a float level a tensor is what its node gives. At a fixed-point level it goes through a
QuantizeLinear and a DequantizeLinear, under the same name: providers fold the three into one
integer operator. Which values a tensor takes is looked up under the name of its grid; tensors of
one grid share it, so that moving values about changes none of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.graph.emitter import Emitter
from harness.quantize.fixed_point import Range, fixed_point, to_fixed_point, whole_scale
from harness.quantize.levels import Form, MatrixFormat, QuantLevel

Ranges = Mapping[str, Range]


@dataclass(frozen=True, slots=True)
class Observed:
    """A tensor whose values decide a grid.

    Attributes:
        tensor: its name in the float graph.
        grid: the grid that must hold it.
        is_score: only the values near each row's largest count: a softmax gives the rest none.
    """

    tensor: str
    grid: str
    is_score: bool = False


class StaticEmitter(Emitter):
    """Nodes in execution order; see the module.

    Attributes:
        observed: every tensor whose range must be known to build a fixed-point graph.
    """

    def __init__(self, level: QuantLevel, ranges: Ranges) -> None:
        """Start with no node.

        Args:
            level: a static one.
            ranges: of each grid; those that are not known yet are observed at a float level.
        """
        super().__init__()
        self.observed: list[Observed] = []
        self._level = level
        self._ranges = ranges
        self._grids: dict[str, str] = {}  # of each tensor that moves may carry on
        self._constants: set[str] = set()

    def compute(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        grid: str = "",
        *,
        is_score: bool = False,
        **attributes: Any,
    ) -> str:
        """Add a node that makes new values; returns `output`.

        Args:
            operator: its type.
            inputs: names.
            output: name of its output.
            grid: of the output; its own if left out.
            is_score: see Observed.
            attributes: as ONNX takes them.
        """
        grid = grid or output
        self._observe(output, grid, is_score=is_score)
        return self._through(operator, inputs, [output], grid, **attributes)[0]

    def move(
        self, operator: str, inputs: Sequence[str], output: str, **attributes: Any
    ) -> str:
        """Add a node that gives values of its first input as they are; returns `output`."""
        return self._through(operator, inputs, [output], self._grids[inputs[0]], **attributes)[0]

    def split(
        self, values: str, outputs: Sequence[str], sizes: Sequence[int], axis: int
    ) -> list[str]:
        """Add a Split along `axis`; returns `outputs`."""
        cuts = self.constant(f"{outputs[0]}.sizes", list(sizes))
        return self._through("Split", (values, cuts), outputs, self._grids[values], axis=axis)

    def output(self, operator: str, inputs: Sequence[str], port: str, **attributes: Any) -> str:
        """Add a move whose values, as stored, are an output of the graph.

        Returns:
            The name under which nodes read it.
        """
        read = f"{port}.read" if self._level.fixed_point else port
        self._through(
            operator, inputs, [read], self._grids[inputs[0]], stored=port, **attributes
        )
        return read

    def stored(self, name: str, grid: str) -> str:
        """Return what nodes read of values that come as they are stored, on this grid."""
        if not self._level.fixed_point:
            self._grids[name] = grid
            return name
        return self._read(name, f"{name}.read", grid)

    def floats(self, name: str, grid: str) -> str:
        """Return what nodes read of an input that is float at every level."""
        if not self._level.fixed_point:
            self._grids[name] = grid
            return name
        return self._write_and_read(name, f"{name}.read", grid)

    def vector(self, name: str) -> str:
        """Return what nodes read of a trained vector."""
        self._observe(name, name)
        return self.stored(name, name)

    def scalar(self, name: str, value: float) -> str:
        """Return what nodes read of one positive number [1]."""
        if not self._level.fixed_point:
            return self.constant(name, [value], "float32")
        grid = fixed_point(Range(0.0, value), self._level.activation_dtype)
        integers = to_fixed_point(np.asarray([value], np.float32), grid)
        stored = self.constant(f"{name}.fixed", integers, grid.dtype)
        scale = self.constant(f"{name}.scale", grid.scale, "float32")
        zero = self.constant(f"{name}.zero", grid.zero, grid.dtype)
        return self.add("DequantizeLinear", (stored, scale, zero), name)

    def matrix(self, name: str, form: MatrixFormat) -> str:
        """Return what nodes read of a stored matrix [outputs, inputs]."""
        if form.form is Form.FLOAT:
            if name not in self._grids:
                self._observe(f"{name}.weight", name)
                self._grids[f"{name}.weight"] = name
            return f"{name}.weight"
        read = f"{name}.read"
        if read in self._grids:
            return read
        self._grids[read] = name
        if form.form is Form.ROWS:
            inputs = (f"{name}.quantized", f"{name}.scales")
            return self.add("DequantizeLinear", inputs, read, axis=0)
        scale = self.constant(f"{name}.scale", whole_scale(self._ranges[name]), "float32")
        zero = self.constant(f"{name}.zero", 0, "int8")
        return self.add("DequantizeLinear", (f"{name}.quantized", scale, zero), read)

    def look_up(self, name: str, ids: str, form: MatrixFormat, output: str) -> str:
        """Add the rows of a stored table that `ids` names; returns `output`.

        At a fixed-point level the rows are looked up as bytes and then put on the grid of the
        whole table: what was not seen while ranges were taken fits too.
        """
        table = self.matrix(name, form)
        if form.form is Form.FLOAT:
            self._grids[output] = name
            return self.add("Gather", (table, ids), output)
        rows = self.add("Gather", (table, ids), f"{output}.rows")
        scale, zero = f"{name}.scale", f"{name}.zero"
        stored = self.add("QuantizeLinear", (rows, scale, zero), f"{output}.stored")
        values = self.add("DequantizeLinear", (stored, scale, zero), f"{output}.values")
        return self._write_and_read(values, output, name, f"{output}.fixed")

    def _through(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        grid: str,
        stored: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node and, at a fixed-point level, what writes its outputs on the grid."""
        if not self._level.fixed_point:
            self.add(operator, inputs, outputs[0], more_outputs=outputs[1:], **attributes)
            self._grids.update(dict.fromkeys(outputs, grid))
            return list(outputs)
        floats = [f"{output}.float" for output in outputs]
        self.add(operator, inputs, floats[0], more_outputs=floats[1:], **attributes)
        for source, output in zip(floats, outputs, strict=True):
            self._write_and_read(source, output, grid, stored)
        return list(outputs)

    def _write_and_read(self, source: str, output: str, grid: str, stored: str = "") -> str:
        """Add the pair that puts `source` on a grid; returns `output`."""
        stored = stored or f"{output}.fixed"
        self.add("QuantizeLinear", (source, *self._grid(grid)), stored)
        return self._read(stored, output, grid)

    def _read(self, stored: str, output: str, grid: str) -> str:
        """Add what reads integers on a grid; returns `output`."""
        self._grids[output] = grid
        return self.add("DequantizeLinear", (stored, *self._grid(grid)), output)

    def _grid(self, name: str) -> tuple[str, str]:
        """Return the names of a grid's scale and zero, constants that are added once."""
        names = f"{name}.grid_scale", f"{name}.grid_zero"
        if name not in self._constants:
            self._constants.add(name)
            grid = fixed_point(self._ranges[name], self._level.activation_dtype)
            self.constant(names[0], grid.scale, "float32")
            self.constant(names[1], grid.zero, grid.dtype)
        return names

    def _observe(self, tensor: str, grid: str, *, is_score: bool = False) -> None:
        """Note a tensor whose range is not known yet."""
        if grid not in self._ranges:
            self.observed.append(Observed(tensor, grid, is_score))
