"""The child process that writes the micro-graphs, so that the measuring ones need no onnx."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.ceilings.shapes import Sizes, kernel_levels
from harness.graph.micro import Heads, write_attention, write_matrix_chain, write_operator_chain


def build(folder: str, sizes: Mapping[str, Any], levels: list[str]) -> dict[str, Any]:
    """Write every graph of one calibration into an empty folder.

    Returns:
        `operators`: of each operator chain, in the order of the lengths.
    """
    chosen, place = msgspec.convert(sizes, Sizes), Path(folder)
    for kernel, level in kernel_levels(tuple(levels)).items():
        for name, count in (("pair", 2), ("chain", chosen.chain_matrices(level))):
            path = place / f"{kernel}.{name}.onnx"
            write_matrix_chain(path, level, chosen.hidden, chosen.wide, count)
    operators = [
        write_operator_chain(place / f"operators.{layers}.onnx", chosen.operator_width, layers)
        for layers in chosen.operator_layers
    ]
    heads = Heads(
        chosen.attention_layers,
        chosen.heads,
        chosen.kv_heads,
        chosen.head_dim,
        chosen.capacity_tokens,
    )
    write_attention(place / "attention.onnx", heads)
    return {"operators": operators}


COMMANDS = {"build": build}
