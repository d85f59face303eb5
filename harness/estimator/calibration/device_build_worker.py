"""The child process that writes the micro-graphs of a graphics processor; see micro_worker.py."""

from pathlib import Path
from typing import Any

from harness.builder.graph.micro import (
    Heads,
    write_attention,
    write_attention_stack,
    write_matrix_chain,
    write_operator_chain,
    write_operator_stack,
)
from harness.builder.graph.micro_device import prove_end, write_reads
from harness.builder.quantize.levels import cache_of, find_level
from harness.estimator.calibration.constants import (
    ATTENTION,
    STACK_CAPACITY,
    STACK_LEVEL,
    Sizes,
    caches_apart,
    kernel_levels,
)
from harness.estimator.calibration.device_sizes import READ_PARTS, Floats
from harness.estimator.calibration.micro_worker import attention_graphs


def build(
    folder: str, sizes: Sizes, levels: list[str], caches: list[str], floats: Floats
) -> dict[str, Any]:
    """Write every graph of one calibration into an empty folder.

    Args:
        folder: receives the graphs.
        sizes: of the calibration.
        levels: whose kernels are measured.
        caches: over which attention is measured beside that of `floats`.
        floats: what stays float.

    Returns:
        As harness.estimator.calibration.micro_worker.build.
    """
    place = Path(folder)
    write_reads(place / "reads.onnx", READ_PARTS)
    for kernel, level in kernel_levels(tuple(levels)).items():
        for name, width, wide, count in (
            ("pair", sizes.hidden, sizes.wide, 2),
            ("chain", sizes.hidden, sizes.wide, sizes.chain_matrices(level)),
            ("few", sizes.small, sizes.small, sizes.few),
            ("small", sizes.small, sizes.small, sizes.small_matrices(level)),
        ):
            path = place / f"{kernel}.{name}.onnx"
            write_matrix_chain(path, floats.level(level), width, wide, count)
            prove_end(path, "product")
    chains = [_operators(place, sizes, layers, floats) for layers in sizes.operator_layers]
    for attention, cache in {
        ATTENTION: cache_of(floats.dtype),
        **caches_apart(tuple(caches)),
    }.items():
        for name, layers, capacity in attention_graphs(sizes):
            path = place / f"{name}.{attention}.onnx"
            heads = Heads(layers, sizes.heads, sizes.kv_heads, sizes.head_dim, capacity)
            write_attention(path, heads, cache, float_dtype=cache.dtype)
            prove_end(path, f"attended.{layers - 1}")
    return {"operators": chains, "stack_operators": _stacks(place, sizes, floats)}


def _operators(place: Path, sizes: Sizes, layers: int, floats: Floats) -> int:
    """Write one chain of operators; return how many it has."""
    path = place / f"operators.{layers}.onnx"
    written = write_operator_chain(path, sizes.operator_width, layers, floats.dtype)
    prove_end(path, "product")
    return written


def _stacks(place: Path, sizes: Sizes, floats: Floats) -> int:
    """Write the graphs that fixed costs are measured on; return the operators in the first."""
    level = floats.level(find_level(STACK_LEVEL))
    heads = Heads(
        sizes.stack_layers, sizes.stack_heads, sizes.stack_kv_heads, sizes.head_dim, STACK_CAPACITY
    )
    path = place / "attention.stack.onnx"
    write_attention_stack(path, level, heads)
    prove_end(path, "product")
    path = place / "operators.stack.onnx"
    written = write_operator_stack(path, level, sizes.small, sizes.stack_matrices)
    prove_end(path, "product")
    return written


COMMANDS = {"build": build}
