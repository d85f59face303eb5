"""What the installed onnxruntime knows, asked of the package itself."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KnownOperators:
    """The operators of an installation.

    Attributes:
        version: of the package.
        opset: the newest one of the standard operators.
        names: (domain, name); the standard domain is empty.
    """

    version: str
    opset: int
    names: frozenset[tuple[str, str]]


def known_operators() -> KnownOperators:
    """Return the operators that onnxruntime has schemas for; for a process of its own."""
    import onnxruntime
    from onnxruntime.capi import _pybind_state as state

    schemas = state.get_all_operator_schema()
    return KnownOperators(
        onnxruntime.__version__,
        max(schema.since_version for schema in schemas if not schema.domain),
        frozenset((schema.domain, schema.name) for schema in schemas),
    )


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
