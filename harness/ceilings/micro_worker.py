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
        calls, width = place / f"{kernel}.calls.onnx", chosen.call_width
        write_matrix_chain(calls, level, width, width, chosen.call_matrices)
    operators = [
        write_operator_chain(place / f"operators.{layers}.onnx", chosen.operator_width, layers)
        for layers in chosen.operator_layers
    ]
    for name, layers, capacity in (
        ("cached", chosen.cache_layers, chosen.cache_tokens),
        ("prompt", chosen.attention_layers, max(chosen.prompts)),
    ):
        heads = Heads(layers, chosen.heads, chosen.kv_heads, chosen.head_dim, capacity)
        write_attention(place / f"{name}.attention.onnx", heads)
    return {"operators": operators}


COMMANDS = {"build": build}
