"""What the installed onnxruntime knows, asked of the package itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CPU = "CPUExecutionProvider"
OPEN_END = 2**31 - 1  # last version of a kernel that states none
Operator = tuple[str, str]  # domain, name


@dataclass(frozen=True, slots=True)
class KnownOperators:
    """The operators of an installation.

    Attributes:
        version: of the package.
        opset: the newest one of the standard operators.
        names: (domain, name); the standard domain is empty.
        versions: of these operators, the oldest first.
        kernels: by operator: first and last version that a kernel of the CPU serves.
    """

    version: str
    opset: int
    names: frozenset[Operator]
    versions: Mapping[Operator, tuple[int, ...]]
    kernels: Mapping[Operator, frozenset[tuple[int, int]]]

    def has_kernel(self, operator: Operator, opset: int) -> bool:
        """Whether the CPU has code for an operator as a graph of this opset means it.

        A kernel without a last version serves its first version only: those that came later may
        mean something else. Source: KernelRegistry::VerifyKernelDef of onnxruntime 1.32.
        """
        known = [version for version in self.versions.get(operator, ()) if version <= opset]
        if not known:
            return True  # of another package, or nothing that this one would take apart
        version = known[-1]
        return any(
            first == version or (first < version <= last != OPEN_END)
            for first, last in self.kernels.get(operator, ())
        )


def known_operators() -> KnownOperators:
    """Return the operators that onnxruntime has schemas for; for a process of its own."""
    import onnxruntime
    from onnxruntime.capi import _pybind_state as state

    schemas = state.get_all_operator_schema()
    versions: dict[Operator, set[int]] = {}
    for schema in schemas:
        versions.setdefault((schema.domain, schema.name), set()).add(schema.since_version)
    kernels: dict[Operator, set[tuple[int, int]]] = {}
    for kernel in state.get_all_opkernel_def():
        if kernel.provider == CPU:
            place = kernels.setdefault((kernel.domain, kernel.op_name), set())
            place.add(tuple(kernel.version_range))
    return KnownOperators(
        onnxruntime.__version__,
        max(schema.since_version for schema in schemas if not schema.domain),
        frozenset(versions),
        {operator: tuple(sorted(found)) for operator, found in versions.items()},
        {operator: frozenset(found) for operator, found in kernels.items()},
    )


def nodes_loaded(content: bytes, folder: Path) -> int | None:
    """How many nodes onnxruntime makes of a graph for the CPU; for a process of its own.

    Nothing is optimized and no weight is read: only operators without a kernel are taken apart.

    Args:
        content: of the graph.
        folder: where its data lies.

    Returns:
        None: it does not open it.
    """
    from harness.devices.placement import recorded_nodes
    from harness.devices.session import open_mapped

    try:
        return len(recorded_nodes(open_mapped(content, folder, prepacked=False)))
    except Exception:  # of many classes, in words of its own: it does not open it
        return None


def opens(path: Path) -> bool:
    """Whether onnxruntime opens a graph as it is, on the CPU; for a process of its own.

    Asked only where a table says that it does not: a runtime takes more than its tables tell.
    Nothing is optimized, and no library of operators is loaded.

    Args:
        path: of a graph whose files were checked.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception:  # of many classes, in words of its own: it does not open it
        return False
    return True
