"""One entry of the glossary."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One entry.

    Attributes:
        name: as records or tables spell it.
        unit: of the number; empty for words.
        definition: what it is.
        left_out: what it does not count; empty where nothing is.
    """

    name: str
    unit: str
    definition: str
    left_out: str = ""
