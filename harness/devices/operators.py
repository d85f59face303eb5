"""What the installed onnxruntime knows, asked of the package itself: no session is opened."""

from dataclasses import dataclass


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
