"""Collects the nodes of a static graph, each float tensor written through its fixed-point grid.

At a float level a tensor is what its node gives. At a fixed-point level it goes through a
QuantizeLinear and a DequantizeLinear, under the same name: providers fold the three into one
integer operator. Which values a tensor takes is looked up under the name of its grid; tensors of
one grid share it, so that moving values about changes none of them.

To calibrate, a float graph tells two more numbers per observed tensor: its least and largest value.
Only these numbers leave the session: however large a tensor is, it is gone when it has been read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from harness.builder.graph.emitter import Emitter
from harness.builder.quantize.fixed_point import (
    Range,
    coarse,
    fixed_point,
    to_fixed_point,
    union,
    whole_scale,
)
from harness.builder.quantize.levels import Form, MatrixFormat, QuantLevel

Ranges = Mapping[str, Range]
_Grid = tuple[str, str]  # whose range it spans, and in which integers


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
        self._grids: dict[str, _Grid] = {}  # of each tensor that a move may carry on
        self._emitted: set[_Grid] = set()
        self._read: set[str] = set()

    def compute(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        grid: str = "",
        *,
        dtype: str = "",
        is_score: bool = False,
        **attributes: Any,
    ) -> str:
        """Add a node that makes new values; returns `output`.

        Args:
            operator: its type.
            inputs: names.
            output: name of its output.
            grid: of the output; its own if left out.
            dtype: of that grid; the activations' if left out.
            is_score: see Observed.
            attributes: as ONNX takes them.
        """
        grid = grid or output
        self._observe(output, grid, is_score=is_score)
        place = grid, dtype or self._level.activation_dtype
        return self._through(operator, inputs, [output], place, **attributes)[0]

    def move(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node that gives values of its first input as they are; returns `output`."""
        return self._through(operator, inputs, [output], self._grids[inputs[0]], **attributes)[0]

    def split(
        self, values: str, outputs: Sequence[str], sizes: Sequence[int], axis: int
    ) -> list[str]:
        """Add a Split along `axis`; returns `outputs`."""
        cuts = self.constant(f"{outputs[0]}.sizes", list(sizes))
        return self._through("Split", (values, cuts), outputs, self._grids[values], axis=axis)

    def compute_cached(
        self, operator: str, inputs: Sequence[str], port: str, **attributes: Any
    ) -> str:
        """Add a node whose values are cached: an output of the graph, called `port`.

        Providers multiply 16-bit activations by 8-bit ones only, and what is cached is always the
        second of the two: it is stored in 8 bits at every fixed-point level.

        Returns:
            The name under which nodes read what was stored.
        """
        self._observe(port, port)
        if not self._level.fixed_point:
            return self._through(operator, inputs, [port], (port, ""), **attributes)[0]
        cache, wide = self._level.cache_dtype, self._level.activation_dtype
        if wide == cache:
            read = f"{port}.read"
            self._through(operator, inputs, [read], (port, cache), stored=port, **attributes)
            return read
        values = self._through(operator, inputs, [f"{port}.wide"], (port, wide), **attributes)
        return self._write_and_read(values[0], f"{port}.read", (port, cache), port)

    def cached(self, past: str, port: str) -> str:
        """Return what nodes read of the input `past`, which holds earlier values of `port`."""
        return self._stored(past, (port, self._level.cache_dtype))

    def convert(self, values: str, output: str, dtype: str) -> str:
        """Put values of any node on the grid of their range in other integers.

        Args:
            values: what nodes read.
            output: name of the same values on that grid.
            dtype: `uint8` or `uint16`; without meaning at a float level.

        Returns:
            `output`, or `values` where nothing has to change.
        """
        grid, own = self._grids[values]
        if not self._level.fixed_point or dtype == own:
            return values
        return self._write_and_read(values, output, (grid, dtype))

    def floats(self, name: str, dtype: str = "") -> str:
        """Return what nodes read of an input that is float at every level, on its own grid.

        Args:
            name: of the input.
            dtype: of its grid; the activations' if left out.
        """
        grid = name, dtype or self._level.activation_dtype
        if not self._level.fixed_point:
            self._grids[name] = grid
            return name
        return self._write_and_read(name, f"{name}.read", grid)

    def vector(self, name: str) -> str:
        """Return what nodes read of a vector or table of the data file, on its own grid."""
        self._observe(name, name)
        return self._stored(name, (name, self._level.activation_dtype))

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
            return f"{name}.weight"
        read = f"{name}.read"
        if read in self._read:
            return read
        self._read.add(read)
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
        grid = name, self._level.activation_dtype
        if form.form is Form.FLOAT:
            self._observe(table, name)
            self._grids[output] = grid
            return self.add("Gather", (table, ids), output)
        rows = self.add("Gather", (table, ids), f"{output}.rows")
        scale, zero = f"{name}.scale", f"{name}.zero"
        stored = self.add("QuantizeLinear", (rows, scale, zero), f"{output}.stored")
        values = self.add("DequantizeLinear", (stored, scale, zero), f"{output}.values")
        return self._write_and_read(values, output, grid)

    def _through(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        grid: _Grid,
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

    def _write_and_read(self, source: str, output: str, grid: _Grid, stored: str = "") -> str:
        """Add the pair that puts `source` on a grid; returns `output`."""
        stored = stored or f"{output}.fixed"
        self.add("QuantizeLinear", (source, *self._constants(grid)), stored)
        self._grids[output] = grid
        return self.add("DequantizeLinear", (stored, *self._constants(grid)), output)

    def _stored(self, name: str, grid: _Grid) -> str:
        """Return what nodes read of an input or initializer that is stored on a grid."""
        read = f"{name}.read" if self._level.fixed_point else name
        if self._level.fixed_point:
            self.add("DequantizeLinear", (name, *self._constants(grid)), read)
        self._grids[read] = grid
        return read

    def _constants(self, grid: _Grid) -> tuple[str, str]:
        """Return the names of a grid's scale and zero, constants that are added once."""
        name, dtype = grid
        names = f"{name}.{dtype}_scale", f"{name}.{dtype}_zero"
        if grid not in self._emitted:
            self._emitted.add(grid)
            numbers = fixed_point(self._ranges[name], dtype)
            self.constant(names[0], numbers.scale, "float32")
            self.constant(names[1], numbers.zero, dtype)
        return names

    def _observe(self, tensor: str, grid: str, *, is_score: bool = False) -> None:
        """Note a tensor whose range is not known yet."""
        if grid not in self._ranges:
            self.observed.append(Observed(tensor, grid, is_score))


EXTREMES = "extremes"  # the one output that holds them all, low and high in turn
# A key whose score is this far below the largest one of its row has a weight below half a step of
# the probabilities' grid: e^-x < 2^-(bits + 1), and another e^-2 for there are many such keys.
SCORE_DEPTHS = {1: 8.3, 2: 13.8}  # by bytes of an activation


def observe(model: onnx.ModelProto, observed: Sequence[Observed]) -> None:
    """Give a float graph the output EXTREMES: low and high of each observed tensor in turn."""
    emitter = Emitter()
    one = emitter.constant("extremes.one", [1])
    last = emitter.constant("extremes.last_axis", [-1])
    numbers = []
    for place, seen in enumerate(observed):
        name, source = f"extremes.{place}", seen.tensor
        high = emitter.add("ReduceMax", (source,), f"{name}.high", keepdims=0)
        if seen.is_score:
            source = emitter.add("ReduceMax", (source, last), f"{name}.rows", keepdims=0)
        low = emitter.add("ReduceMin", (source,), f"{name}.low", keepdims=0)
        for scalar in (low, high):
            numbers.append(emitter.add("Reshape", (scalar, one), f"{scalar}.flat"))
    emitter.add("Concat", numbers, EXTREMES, axis=0)
    model.graph.node.extend(emitter.nodes)
    port = helper.make_tensor_value_info(EXTREMES, onnx.TensorProto.FLOAT, [2 * len(observed)])
    model.graph.output.append(port)


def ranges_of(
    extremes: npt.NDArray[np.floating], observed: Sequence[Observed], level: QuantLevel
) -> dict[str, Range]:
    """Return the range of every grid from the extremes [runs, 2 · observed] of all runs."""
    by_run = extremes.reshape(len(extremes), -1, 2)
    lows, highs = by_run[:, :, 0].min(axis=0).tolist(), by_run[:, :, 1].max(axis=0).tolist()
    found: dict[str, list[Range]] = {}
    for low, high, seen in zip(lows, highs, observed, strict=True):
        if seen.is_score:
            low -= SCORE_DEPTHS[level.float_bytes]
        found.setdefault(seen.grid, []).append(Range(coarse(low), coarse(high)))
    return {grid: union(ranges) for grid, ranges in found.items()}
