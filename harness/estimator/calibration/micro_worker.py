"""The child process that writes the micro-graphs, so that the measuring ones need no onnx."""

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
from harness.builder.graph.micro_operators import (
    write_convolutions,
    write_delta_rules,
    write_experts,
    write_mambas,
)
from harness.builder.quantize.levels import CACHES, find_level
from harness.estimator.calibration.constants import (
    ATTENTION,
    STACK_CAPACITY,
    STACK_LEVEL,
    Sizes,
    caches_apart,
    kernel_levels,
)
from harness.estimator.calibration.operators import (
    DELTA,
    MAMBA,
    Probe,
    delta_of,
    mamba_of,
    probes_of,
    state_shape,
)
from harness.estimator.calibration.pulse import (
    CALL_GRAPH,
    CALL_MATRICES,
    CALL_WIDTH,
    MATRICES,
    MATRIX_GRAPH,
    MATRIX_WIDTH,
)

PROBE_GRAPHS = ("few", "pair", "chain", "cached", "prompt")


def build(
    folder: str, sizes: Sizes, levels: list[str], caches: list[str], operators: list[str]
) -> dict[str, Any]:
    """Write every graph of one calibration into an empty folder.

    Args:
        folder: receives the graphs.
        sizes: of the calibration.
        levels: whose kernels are measured.
        caches: cache levels of integers that attention is measured over.
        operators: names of harness.estimator.calibration.operators.

    Returns:
        `operators`: of each operator chain, in the order of the lengths; `stack_operators`: of
        the stack, its matrices not counted.
    """
    place = Path(folder)
    for probe in probes_of(operators).values():
        _write_operator(place, probe, sizes)
    if not levels:
        return {}
    for kernel, level in kernel_levels(tuple(levels)).items():
        for name, width, wide, count in (
            ("pair", sizes.hidden, sizes.wide, 2),
            *(
                (graph, sizes.hidden, sizes.wide, sizes.chain_matrices(level, graph))
                for graph in sizes.long_chains
            ),
            ("few", sizes.small, sizes.small, sizes.few),
            ("small", sizes.small, sizes.small, sizes.small_matrices(level)),
        ):
            write_matrix_chain(place / f"{kernel}.{name}.onnx", level, width, wide, count)
    chains = [
        write_operator_chain(place / f"operators.{layers}.onnx", sizes.operator_width, layers)
        for layers in sizes.operator_layers
    ]
    others = _write_stacks(place, sizes)
    for attention, cache in {ATTENTION: CACHES["fp32"], **caches_apart(tuple(caches))}.items():
        for name, layers, capacity in attention_graphs(sizes):
            heads = Heads(layers, sizes.heads, sizes.kv_heads, sizes.head_dim, capacity)
            write_attention(place / f"{name}.{attention}.onnx", heads, cache)
    return {"operators": chains, "stack_operators": others}


def _write_operator(place: Path, probe: Probe, sizes: Sizes) -> None:
    """Write the graphs of one operator that not every model has."""
    path = {graph: place / f"{graph}.{probe.name}.onnx" for graph in PROBE_GRAPHS}
    if probe.level is not None:
        for graph in ("few", "pair", "chain"):
            layers = sizes.expert_layers(graph, probe.level)
            widths = sizes.expert_widths(graph)
            write_experts(path[graph], probe.level, widths, sizes.experts, layers)
    elif probe.cache is not None:
        for graph, layers, capacity in attention_graphs(sizes):
            heads = Heads(layers, sizes.heads, sizes.kv_heads, sizes.head_dim, capacity)
            write_attention(path[graph], heads, probe.cache, probe.scores)
    else:
        for graph, layers in (("pair", 2), ("chain", state_shape(probe.name, sizes).layers)):
            if probe.name == DELTA:
                write_delta_rules(path[graph], delta_of(sizes), layers)
            elif probe.name == MAMBA:
                write_mambas(path[graph], mamba_of(sizes), layers)
            else:
                write_convolutions(path[graph], sizes.channels, sizes.taps, layers)


def attention_graphs(sizes: Sizes) -> tuple[tuple[str, int, int], ...]:
    """Return the graphs of attention: name, layers and positions of each cache."""
    return (
        ("cached", sizes.cache_layers, sizes.cache_tokens),
        ("prompt", sizes.attention_layers, max(sizes.prompts)),
    )


def _write_stacks(place: Path, sizes: Sizes) -> int:
    """Write the graphs that fixed costs are measured on; return the operators in the first."""
    level = find_level(STACK_LEVEL)
    heads = Heads(
        sizes.stack_layers, sizes.stack_heads, sizes.stack_kv_heads, sizes.head_dim, STACK_CAPACITY
    )
    write_attention_stack(place / "attention.stack.onnx", level, heads)
    path = place / "operators.stack.onnx"
    return write_operator_stack(path, level, sizes.small, sizes.stack_matrices)


def build_pulse(folder: str) -> dict[str, int]:
    """Write the graphs of harness.estimator.calibration.pulse into an empty folder.

    Returns:
        `calls`: operators of one run of the graph of calls, its matrices counted.
    """
    place, plain, level = Path(folder), find_level("fp32"), find_level(STACK_LEVEL)
    write_matrix_chain(place / MATRIX_GRAPH, plain, MATRIX_WIDTH, MATRIX_WIDTH, MATRICES)
    others = write_operator_stack(place / CALL_GRAPH, level, CALL_WIDTH, CALL_MATRICES)
    return {"calls": others + CALL_MATRICES}


COMMANDS = {"build": build, "build_pulse": build_pulse}
