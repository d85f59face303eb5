"""Whether the installed ONNX Runtime knows what a graph asks for."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from harness.core.errors import ModelError
from harness.models.exported.flat import STANDARD


@dataclass(frozen=True, slots=True)
class Runtime:
    """What an ONNX Runtime knows.

    Attributes:
        version: of its package.
        opset: the newest one of the standard operators.
        operators: (domain, name) of each; the standard domain is empty.
        opens: asks it whether it opens a checked graph; None: it cannot be asked.
        has_kernel: whether the CPU has code for an operator at an opset; None: not known.
        nodes_loaded: how many nodes it makes of a graph, given its content and the folder of its
            data; None: it cannot be asked.
    """

    version: str
    opset: int
    operators: Collection[tuple[str, str]]
    opens: Callable[[Path], bool] | None = None
    has_kernel: Callable[[tuple[str, str], int], bool] | None = None
    nodes_loaded: Callable[[bytes, Path], int | None] | None = None

    @property
    def ir_version(self) -> int:
        """The newest file format: that of the ONNX release which brought its newest opset."""
        return max((row[1] for row in helper.VERSION_TABLE if row[2] <= self.opset), default=0)


def check_versions(model: onnx.ModelProto, path: Path, where: str, runtime: Runtime) -> None:
    """Refuse a graph that the runtime does not know: format, opset, domains and operators.

    Where its tables say so, the runtime itself is asked before anybody is told. Libraries of
    operators are never loaded, wherever they lie: they are native code.

    Args:
        model: the graph.
        path: of its file, whose tensors were checked.
        where: names it in errors.
        runtime: what is installed.

    Raises:
        ModelError: with what it asks for and what is installed.
    """
    doubt = _doubt(model, where, runtime)
    if doubt is not None and (runtime.opens is None or not runtime.opens(path)):
        raise doubt


def without_kernel(model: onnx.ModelProto, runtime: Runtime) -> dict[str, int]:
    """Count the nodes whose operators the runtime has no code for on the CPU: they are taken apart.

    Args:
        model: a graph that the runtime knows.
        runtime: what is installed.

    Returns:
        Operator and version as a graph means it -> nodes; `Attention (opset 25)`.
    """
    if runtime.has_kernel is None:
        return {}
    opsets = {item.domain: item.version for item in model.opset_import}
    standard = max(opsets.get(domain, 0) for domain in STANDARD)
    lost: Counter[str] = Counter()
    for node in _nodes(model.graph):
        domain = "" if node.domain in STANDARD else node.domain
        opset = opsets.get(node.domain, 1) if domain else standard
        if node.op_type not in _NEVER_RUN and not runtime.has_kernel((domain, node.op_type), opset):
            lost[f"{node.op_type} ({f'{domain} {opset}' if domain else f'opset {opset}'})"] += 1
    return dict(lost)


_NEVER_RUN = ("Constant", "EPContext")  # stored values, and what one provider has compiled


def _doubt(model: onnx.ModelProto, where: str, runtime: Runtime) -> ModelError | None:
    """Return the error for what the tables of the runtime do not have; None: all is there."""
    if not 1 <= model.ir_version <= runtime.ir_version:
        return _unknown(
            f"{where} has IR version {model.ir_version}", runtime, f"1 to {runtime.ir_version}"
        )
    standard = [item.version for item in model.opset_import if item.domain in STANDARD]
    if any(version > runtime.opset or version < 1 for version in standard):
        return _unknown(f"{where} has opset {max(standard)}", runtime, f"1 to {runtime.opset}")
    used = {
        ("" if node.domain in STANDARD else node.domain, node.op_type)
        for node in _nodes(model.graph)
    }
    unknown = sorted(used - set(runtime.operators))
    if not unknown:
        return None
    domain, name = unknown[0]
    return ModelError(
        f"{where} needs the operator {f'{domain}:{name}' if domain else name!r}, which"
        f" onnxruntime {runtime.version} does not have",
        fix="export it with standard operators; libraries of custom operators are not loaded",
    )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node of a graph and of its branches."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
            for branch in attribute.graphs:
                yield from _nodes(branch)


def _unknown(problem: str, runtime: Runtime, taken: str) -> ModelError:
    """Return the error for a version that is too new, or none at all."""
    return ModelError(
        f"{problem}; onnxruntime {runtime.version} takes {taken}",
        fix="a newer onnxruntime, or an export at an older opset",
    )
