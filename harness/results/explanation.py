"""The sum behind an estimate, term by term, as a record holds it."""

from typing import Annotated

import msgspec

from harness.results.calibration import Drift


class EstimatedTerm(msgspec.Struct, frozen=True, kw_only=True):
    """One term of an estimated pass.

    Attributes:
        pass_name: stored as `pass`: which pass it is a part of.
        term: what it is, such as `body`.
        kernel: that does it.
        read_bytes: from memory.
        flop: floating-point operations.
        calls: of the kernel.
        seconds: it takes.
        bound: `memory`, `compute` or `calls`.
    """

    pass_name: str = msgspec.field(name="pass")
    term: str
    kernel: str
    read_bytes: float
    flop: float
    calls: float | int
    seconds: float
    bound: str


class EstimatedPass(msgspec.Struct, frozen=True, kw_only=True):
    """One estimated pass: the sum of its terms.

    Attributes:
        pass_name: stored as `pass`: `prefill`, `decode step` (the middle one) or `encode`.
        seconds: it takes.
        bound: what most of it is bound by.
        complete: false: no compute peak is known, so it takes at least that long.
        terms: of the sum.
        as_calibrated_seconds: without the explanation's drift; null: there is none.
    """

    pass_name: str = msgspec.field(name="pass")
    seconds: Annotated[float, msgspec.Meta(gt=0)]
    bound: str
    complete: bool
    terms: tuple[EstimatedTerm, ...]
    as_calibrated_seconds: float | None = None


class MemoryPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the estimated memory.

    Attributes:
        part: its name.
        bytes: that are resident.
    """

    part: str
    bytes: float | int


class WholeCache(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache of a model's whole context would take, where less of it is allocated.

    Attributes:
        context_tokens: that the model takes.
        allocated_tokens: that were allocated for this test.
        peak_bytes: estimated, with all of them allocated.
        more_bytes: that these are beyond what the same estimate says of the test.
    """

    context_tokens: int
    allocated_tokens: int
    peak_bytes: float
    more_bytes: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """How a record's best estimate came about.

    Attributes:
        estimator: its name.
        basis: of its constants.
        threads: they were measured with; null: they were not.
        passes: pass by pass.
        memory: part by part; empty where it is not estimated.
        read_parameters: trained values that are read for one token: without experts that it leaves
            out and tables that give it one row; null: not counted.
        whole_cache: what the model's whole context would take; null: all of it is allocated, or
            it is not known.
        drift: how fast the machine was beside the rows, as shares of what it was when it was
            calibrated: every time is scaled by them; null: it is not known, and nothing is.
    """

    estimator: str
    basis: str
    threads: int | None = None
    passes: tuple[EstimatedPass, ...] = ()
    memory: tuple[MemoryPart, ...] = ()
    read_parameters: int | None = None
    whole_cache: WholeCache | None = None
    drift: Drift | None = None
