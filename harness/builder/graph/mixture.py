"""A model whose weights come from two levels: which of them each stored weight has."""

from dataclasses import dataclass

from harness.builder.quantize.levels import QuantLevel

REFERENCE_DATA, LEVEL_DATA = (
    "reference.data",
    "level.data",
)  # the data files of both levels, as linked


@dataclass(frozen=True, slots=True)
class Mixture:
    """One level for every weight, or another one for some of them.

    Attributes:
        base: the level of the model; activations and cache have its type.
        other: the level of the chosen weights; None: no weight has another one.
        chosen: names of stored weights, as harness.builder.graph.storage calls them.
    """

    base: QuantLevel
    other: QuantLevel | None = None
    chosen: frozenset[str] = frozenset()

    def of(self, name: str) -> QuantLevel:
        """Return the level of the weight called `name`."""
        return self.other if self.other is not None and name in self.chosen else self.base
