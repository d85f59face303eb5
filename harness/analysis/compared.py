"""What two sides are compared by: one row per metric, and one process's value of it. Pure."""

import math
from dataclasses import dataclass

from harness.core.errors import ResultFormatError, UsageError
from harness.core.names import suggestion
from harness.results.process_values import process_values
from harness.results.schema import Record

# How a metric's verdicts are called: better, worse.
TIME_WORDS = ("FASTER", "SLOWER")
SIZE_WORDS = ("SMALLER", "LARGER")
QUALITY_WORDS = ("BETTER", "WORSE")
# What a difference of quality must exceed, nats a token or share of tokens.
QUALITY_TOLERANCE = 0.01
# Standard deviation of ln peak_rss_bytes between fresh processes of one cell: memory is taken in
# one process a cell, so a side has no scatter of its own. Source: the 104 cells that both
# results/validation/first.json and again.json hold give 0.0034, with wide tails (5 % of the pairs
# are more than 1.2 % apart), hence rounded up. Assumes: the system counts pages as Linux does.
PEAK_SCATTER_LN = 0.005


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric that two sides are compared by.

    Attributes:
        name: as in the glossary.
        words: what better and worse are called.
        more_is_better: a rate or a share of agreement.
        is_ratio: compared as new / base; else as new - base, where 0 is a possible value.
        of_session: shared by all tests of a session, so compared once.
        known_scatter_ln: of ln of a single process's value; None: a side needs two processes.
        tolerance: its own, in its unit; None: the comparison's, a share.
        by_default: compared without being asked for, where a cell is judged by it.
    """

    name: str
    words: tuple[str, str]
    more_is_better: bool = False
    is_ratio: bool = True
    of_session: bool = False
    known_scatter_ln: float | None = None
    tolerance: float | None = None
    by_default: bool = True

    def on_scale(self, value: float) -> float:
        """A value on the scale of the statistics: its logarithm, or itself."""
        return math.log(value) if self.is_ratio else value

    def off_scale(self, difference: float) -> float:
        """A difference on that scale as a ratio new / base, or as itself."""
        try:
            return math.exp(difference) if self.is_ratio else difference
        except OverflowError:
            return math.inf


def _quality(name: str, more_is_better: bool = False, by_default: bool = True) -> Compared:
    """A row of quality."""
    return Compared(
        name,
        QUALITY_WORDS,
        more_is_better,
        is_ratio=False,
        tolerance=QUALITY_TOLERANCE,
        by_default=by_default,
    )


COMPARED = (
    Compared("prefill_tok_s", TIME_WORDS, more_is_better=True),
    Compared("decode_tok_s", TIME_WORDS, more_is_better=True),
    Compared("encode_seq_s", TIME_WORDS, more_is_better=True),
    Compared("images_s", TIME_WORDS, more_is_better=True),
    Compared("runs_s", TIME_WORDS, more_is_better=True),
    Compared("ttft_ms", TIME_WORDS),
    Compared("load_ms", TIME_WORDS, of_session=True),
    Compared("first_ms", TIME_WORDS, by_default=False),
    Compared("cold_ttft_ms", TIME_WORDS, by_default=False),
    Compared("prefill_ms", TIME_WORDS, by_default=False),
    Compared("tpot_ms", TIME_WORDS, by_default=False),
    Compared("e2e_ms", TIME_WORDS, by_default=False),
    Compared("encode_ms", TIME_WORDS, by_default=False),
    Compared("j_per_token", QUALITY_WORDS),
    Compared("j_per_sequence", QUALITY_WORDS),
    Compared("energy_j", QUALITY_WORDS, by_default=False),
    Compared("image_ms", TIME_WORDS, by_default=False),
    Compared("run_ms", TIME_WORDS, by_default=False),
    Compared("peak_rss_bytes", SIZE_WORDS, known_scatter_ln=PEAK_SCATTER_LN),
    Compared("device_bytes_peak", SIZE_WORDS, by_default=False),
    Compared("weights_bytes", SIZE_WORDS, of_session=True),
    Compared("kv_bytes_per_token", SIZE_WORDS, of_session=True),
    _quality("kld_nats"),
    _quality("top1_agreement", more_is_better=True),
    _quality("nll_delta", by_default=False),
    _quality("embedding_cosine", more_is_better=True),
    _quality("nearest_agreement", more_is_better=True, by_default=False),
    _quality("ranking_tau", more_is_better=True, by_default=False),
)


def find_compared(names: tuple[str, ...], watched: tuple[str, ...] = ()) -> tuple[Compared, ...]:
    """Look metrics up by name, and those that are watched; without names the default ones.

    Raises:
        UsageError: a name that is no row of COMPARED.
    """
    known = {metric.name: metric for metric in COMPARED}
    for name in (*names, *watched):
        if name not in known:
            raise UsageError(f"no comparison by {name!r}", fix=suggestion(name, known))
    return tuple(
        metric
        for metric in COMPARED
        if metric.name in (*names, *watched) or (metric.by_default and not names)
    )


def scaled_values(metric: Compared, record: Record, run_id: str) -> dict[int, float]:
    """Every process's value of a timed metric on the scale of the statistics, by round.

    Raises:
        ResultFormatError: damaged samples; says of which run.
    """
    try:
        values = process_values(record, metric.name)
    except ResultFormatError as error:
        raise ResultFormatError(f"{run_id}: {error.problem}", error.fix) from error
    return {place: metric.on_scale(value) for place, value in values.items()}
