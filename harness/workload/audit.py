"""What a doubter would ask of a timed test: raw answers, judged elsewhere.

Four questions: is the timed output that of a plain run; does the same input come faster than a new
one, as if something were remembered; are there as many tokens as were counted; do clocks agree.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.workload.encoding import EncoderMeasuring
from harness.workload.measuring import Measuring, steps_of
from harness.workload.passes import PassOutcome, digest_of
from harness.workload.workload import Kind, Workload

Json = dict[str, Any]
Measures = Measuring | EncoderMeasuring


def audit(measuring: Measures, workload: Workload, turns: int) -> Json:
    """Run a test that is warm with the usual input and, in turns, with others.

    Args:
        measuring: open.
        workload: warm.
        turns: pairs of a pass over the usual input and a pass over a new one; which comes first
            changes from turn to turn.

    Returns:
        `timed_digest`, `plain_digest`: of the tokens that a timed pass and a plain run choose;
        `tokens`, `expected_tokens`; `steps`, `expected_steps`: of one pass; `same_ns`, `new_ns`:
        whole passes, turn by turn; `timed_ns`: their sum; `wall_ns`: around them all, by another
        clock; `cpu_ns`: processor time of this process meanwhile.
    """
    usual = measuring.sample(workload, 1, 0.0).passes[0]
    start_ns, cpu_start_ns = time.monotonic_ns(), time.process_time_ns()
    same_ns: list[int] = []
    new_ns: list[int] = []
    for turn in range(turns):
        other = replace(measuring, seed=measuring.seed + 1 + turn)
        pair = [(measuring, same_ns), (other, new_ns)]
        for source, kept in pair if turn % 2 else pair[::-1]:
            kept.append(_whole_ns(source.sample(workload, 1, 0.0).passes[0]))
    wall_ns = time.monotonic_ns() - start_ns
    return {
        "timed_digest": usual.digest,
        "plain_digest": digest_of(_plain_tokens(measuring, workload)),
        "tokens": int(usual.tokens.shape[0]),
        "expected_tokens": _expected_tokens(workload),
        "steps": len(usual.sample.itl_ns),
        "expected_steps": 0 if workload.kind is Kind.ENCODE else steps_of(workload),
        "same_ns": same_ns,
        "new_ns": new_ns,
        "timed_ns": sum(same_ns) + sum(new_ns),
        "wall_ns": wall_ns,
        "cpu_ns": time.process_time_ns() - cpu_start_ns,
    }


def _whole_ns(outcome: PassOutcome) -> int:
    """The whole of what a pass times, ns."""
    sample = outcome.sample
    whole = sample.e2e_ns or sample.encode_ns or sample.prefill_ns
    return whole or sum(sample.itl_ns)


def _expected_tokens(workload: Workload) -> int:
    """Tokens that one pass chooses for each sequence: a prefill one; an encoder one set."""
    return max(1, workload.gen_tokens)


def _plain_tokens(measuring: Measures, workload: Workload) -> NDArray[np.int64]:
    """What a run that is not timed chooses: every token is fed and read by itself."""
    if isinstance(measuring, EncoderMeasuring):
        embeddings = measuring.encoder.encode(measuring.ids(workload))
        return np.asarray(embeddings.argmax(axis=1), dtype=np.int64)[None]
    decoder = measuring.decoder
    measuring.stand_at(workload.depth_tokens)
    ids, chosen = measuring.ids(workload), []
    for _ in range(_expected_tokens(workload)):
        logits = decoder.prefill(ids)
        ids = logits[:, -1].argmax(axis=1).astype(np.int64)[:, None]
        chosen.append(ids[:, 0])
    return np.array(chosen)
