"""What validates the measurement of a timed test: raw answers, judged elsewhere.

Four questions: is the timed output that of a plain run; does the same input come faster than a new
one, as if something were remembered; are there as many tokens as were counted; do clocks agree.
"""

import time

from harness.engine.measuring import steps_of
from harness.engine.opening import AnyMeasuring
from harness.engine.passes import PassOutcome, digest_of
from harness.engine.workload import Workload
from harness.results.enums import SINGLE_PASS
from harness.results.replies import Audited


def audit(measuring: AnyMeasuring, workload: Workload, turns: int) -> Audited:
    """Run a test that is warm with the usual input, interleaved with others.

    Args:
        measuring: open.
        workload: warm.
        turns: pairs of a pass over the usual input and a pass over a new one; which comes first
            changes from turn to turn.
    """
    usual = measuring.sample(workload, 1, 0.0).passes[0]
    start_ns, cpu_start_ns = time.monotonic_ns(), time.process_time_ns()
    same_ns: list[int] = []
    new_ns: list[int] = []
    for turn in range(turns):
        other = measuring.reseeded(measuring.seed + 1 + turn)
        pair = [(measuring, same_ns), (other, new_ns)]
        for source, kept in pair if turn % 2 else pair[::-1]:
            kept.append(_whole_ns(source.sample(workload, 1, 0.0).passes[0]))
    wall_ns = time.monotonic_ns() - start_ns
    return Audited(
        timed_digest=usual.digest,
        plain_digest=digest_of(measuring.plain_tokens(workload)),
        tokens=int(usual.tokens.shape[0]),
        expected_tokens=_expected_tokens(workload),
        steps=len(usual.sample.itl_ns),
        expected_steps=0 if workload.kind in SINGLE_PASS else steps_of(workload),
        same_ns=tuple(same_ns),
        new_ns=tuple(new_ns),
        timed_ns=sum(same_ns) + sum(new_ns),
        wall_ns=wall_ns,
        cpu_ns=time.process_time_ns() - cpu_start_ns,
    )


def _whole_ns(outcome: PassOutcome) -> int:
    """The whole of what a pass times, ns."""
    sample = outcome.sample
    whole = sample.e2e_ns or sample.encode_ns or sample.prefill_ns
    return whole or sum(sample.itl_ns)


def _expected_tokens(workload: Workload) -> int:
    """Tokens that one pass chooses for each sequence: a prefill one; an encoder one set."""
    return max(1, workload.gen_tokens)
