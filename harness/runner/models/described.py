"""A word that can be estimated only: an architecture that is not built, a system, a count."""

from dataclasses import dataclass

from harness.core.errors import HarnessError
from harness.models.catalog.target import EstimateTarget
from harness.runner.models.model import Model


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a model without weights or graphs.

    Attributes:
        argument: what the user typed.
        target: what an estimate needs to know.
        refusal: why it is not measured, and the way out.
    """

    argument: str
    target: EstimateTarget
    refusal: HarnessError

    def measured(self) -> Model:
        """Refuse.

        Raises:
            HarnessError: always.
        """
        raise self.refusal

    def facts(self) -> dict[str, object]:
        """What `bench models` says of it: kind and count."""
        structure = self.target.structure
        return {
            "model": self.target.name,
            "kind": None if structure is None else structure.kind,
            "weights": "none: estimated only",
            "parameters": self.target.parameters,
            "vocab_size": (structure and structure.vocab_size) or None,
            "max_context_tokens": None if structure is None else structure.max_context_tokens,
        }
