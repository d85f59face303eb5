"""What `bench fit` found, as its document holds it: every candidate beside every requirement."""

import msgspec

from harness.results.enums import Outcome


class FittedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One requirement of one candidate.

    Attributes:
        requirement: as it was asked for.
        workload: full name of the test that it was judged in.
        outcome: MET, NOT_MET or INCONCLUSIVE.
        value: in the metric's unit; null: not measured.
        low: lower end of the interval that decided; null: there is none.
        high: upper end.
        basis: what the scatter is known from: `5 processes`, `known scatter`, `counted`, `chunks`;
            `estimate`: nothing was measured.
        why: of INCONCLUSIVE.
    """

    requirement: str
    workload: str
    outcome: Outcome
    value: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str = ""
    why: str = ""


class FittedCandidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candidate: one session group.

    Attributes:
        record: place of its first record among those of the document.
        outcome: MET where every requirement is, NOT_MET where any is not.
        lines: one a requirement and test.
        rounds: fresh processes that decided; 0: by estimate, or it failed.
        confirmation: the same lines of further fresh processes alone, of who was to be chosen.
    """

    record: int
    outcome: Outcome
    lines: tuple[FittedLine, ...]
    rounds: int = 0
    confirmation: tuple[FittedLine, ...] = ()


class Fitted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of the requirements.

    Attributes:
        prefer: which of those that meet all is chosen: `quality`, `speed` or `memory`.
        lines: that were told together, so that any false one among them has a chance of 5 %.
        looks: numbers of processes after which they were looked at.
        candidates: in the order of the plan.
        chosen: place of the choice among the candidates; null: none.
        command: that runs it; empty without a choice.
        ended: `decided`, `rounds` (the most that were allowed), `budget` or `interrupt`.
    """

    prefer: str
    lines: int
    looks: tuple[int, ...]
    candidates: tuple[FittedCandidate, ...]
    chosen: int | None = None
    command: str = ""
    ended: str = "decided"
