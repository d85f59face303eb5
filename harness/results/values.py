"""One process's value of each metric, from its raw samples. Pure; the median is over its passes.

Each function of timed samples takes the cell and the process, each of memory the reply that holds
the marks; both return None where there is no such value.
"""

from collections.abc import Callable, Sequence
from statistics import median

from harness.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from harness.results.replies import Held, MemoryTaken, ProcessSamples
from harness.results.schema import DECODE, SOUND, Cell, kind_of

# Over fewer steps the context grows too little: at 1 % noise of a 10 ms step, 32 steps leave a
# standard error of 1.9 ms per 1024 tokens, as large as the effect itself; 128 leave 0.2 ms.
SLOPE_STEPS = 128


def load_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """Session creation, ms; None of a server, which had loaded the model before."""
    load_ns = process.open.load_ns
    return None if load_ns is None else float(load_ns / NS_PER_MS)


def first_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """First run after load, ms; None when that run belonged to another test of the group."""
    first_ns = process.open.first_ns
    if first_ns is None or process.open.first != cell.workload:
        return None
    return float(first_ns / NS_PER_MS)


def cold_ttft_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """Load, first prefill and first token of a fresh process, ms."""
    load, first = load_ms(cell, process), first_ms(cell, process)
    return None if load is None or first is None else load + first


def prefill_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """One pass over the prompt, ms."""
    return float(median(process.sample.prefill_ns) / NS_PER_MS)


def prefill_tok_s(cell: Cell, process: ProcessSamples) -> float | None:
    """Prompt tokens of all sequences per second: batch * N / time."""
    return cell.batch * cell.prompt * NS_PER_S / float(median(process.sample.prefill_ns))


def ttft_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """Prefill and the choice of the first token, ms."""
    return float(median(process.sample.ttft_ns) / NS_PER_MS)


def reread_ttft_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """The first token of a turn where everything before it is read again, ms."""
    return float(median(process.sample.reread_ns) / NS_PER_MS)


def e2e_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """The whole request, ms."""
    return float(median(process.sample.e2e_ns) / NS_PER_MS)


def encode_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """One pass over all texts or images of the test, or one run of any graph, ms."""
    return float(median(process.sample.encode_ns) / NS_PER_MS)


def encode_seq_s(cell: Cell, process: ProcessSamples) -> float | None:
    """Texts per second: sequences / time of the pass."""
    return cell.sequences * NS_PER_S / float(median(process.sample.encode_ns))


def images_s(cell: Cell, process: ProcessSamples) -> float | None:
    """Images per second: images of the test / time of the pass."""
    return encode_seq_s(cell, process)


def sound_s_per_s(cell: Cell, process: ProcessSamples) -> float | None:
    """Seconds of sound read per second: seconds of one * sounds / time of the pass."""
    return _sound_s(cell) * NS_PER_S / float(median(process.sample.encode_ns))


def real_time_factor(cell: Cell, process: ProcessSamples) -> float | None:
    """Time of the pass over the seconds of sound that it reads; below 1: faster than one speaks."""
    return float(median(process.sample.encode_ns)) / NS_PER_S / _sound_s(cell)


def _sound_s(cell: Cell) -> float:
    """Seconds of sound of a pass: aud10x4 reads 40."""
    seconds, _, _ = cell.workload.removeprefix(SOUND).partition("x")
    return float(seconds) * cell.sequences


def runs_s(cell: Cell, process: ProcessSamples) -> float | None:
    """Runs per second of a graph: 1 / time of a run."""
    return NS_PER_S / float(median(process.sample.encode_ns))


def tpot_ms(cell: Cell, process: ProcessSamples) -> float | None:
    """Time per decoded token, ms: the time of a pass's decode steps over their number.

    In a request the first token belongs to the prefill: n tokens have n - 1 steps, (t_last -
    t_first) / (n - 1); gen 1 has none. In a decode test the token it begins from is given, and
    n tokens are n steps.
    """
    step_ns = _median_step_ns(process)
    return None if step_ns is None else step_ns / NS_PER_MS


def decode_tok_s(cell: Cell, process: ProcessSamples) -> float | None:
    """Tokens of all sequences per second: batch * steps / time of the steps, as in tpot_ms."""
    step_ns = _median_step_ns(process)
    return None if step_ns is None else cell.batch * NS_PER_S / step_ns


def decode_step_tok_s(cell: Cell, process: ProcessSamples) -> float | None:
    """Tokens of all sequences per second at the median step: batch / step.

    A decode test's first step does not count: of two interleaved sides it follows the other
    one's work, and what that left in the caches.
    """
    first = 1 if kind_of(cell) == DECODE else 0
    passes = [steps[first:] for steps in process.sample.itl_ns if steps[first:]]
    if not passes:
        return None
    return cell.batch * NS_PER_S / float(median(median(steps) for steps in passes))


def itl_slope_us_per_ktoken(cell: Cell, process: ProcessSamples) -> float | None:
    """How much longer a step takes with 1000 more tokens in the cache, us; may be negative.

    Theil's incomplete method over the steps of a pass: step i is paired with step i + n/2, and
    the median of the slopes of all pairs is taken over all passes; spikes do not move it.
    None under SLOPE_STEPS steps a pass. Source: Theil 1950, doi:10.1007/978-94-011-2546-8_20.
    """
    slopes = [slope for steps in process.sample.itl_ns for slope in _slopes(steps)]
    return float(median(slopes)) * 1000 / NS_PER_US if slopes else None


def energy_j(cell: Cell, process: ProcessSamples) -> float | None:
    """One pass of the test, J: what the counters counted over the timed part / its passes."""
    joules = None if process.energy is None else process.energy.joules
    return None if joules is None else joules / process.sample.passes


def j_per_token(cell: Cell, process: ProcessSamples) -> float | None:
    """Energy of a pass over the tokens of all sequences that it decodes; of a prefill, reads."""
    joules = energy_j(cell, process)
    return None if joules is None else joules / (cell.batch * (cell.gen or cell.prompt))


def j_per_sequence(cell: Cell, process: ProcessSamples) -> float | None:
    """Energy of a pass over the texts that an encoder reads in it."""
    joules = energy_j(cell, process)
    return None if joules is None else joules / cell.sequences


def peak_rss_bytes(reply: MemoryTaken) -> float | None:
    """The high-water mark of resident memory; None: a server's, which is not known."""
    return None if reply.peak_bytes is None else float(reply.peak_bytes)


def peak_delta_bytes(reply: MemoryTaken) -> float | None:
    """The same minus the resident memory of the worker after its imports; None of a server."""
    if reply.peak_bytes is None or reply.baseline is None:
        return None
    return float(reply.peak_bytes - reply.baseline.rss_bytes)


def peak_delta_anonymous_bytes(reply: MemoryTaken) -> float | None:
    """The most anonymous memory minus that after the imports; None: nobody looked."""
    most = reply.anonymous_peak_bytes
    before = None if reply.baseline is None else reply.baseline.anonymous_bytes
    return None if most is None or before is None else float(most - before)


def memory_delta(mark: str, field: str) -> Callable[[MemoryTaken], float | None]:
    """A function: reply -> `field` of `mark` minus that of `baseline`; None: not told."""

    def of_reply(reply: MemoryTaken) -> float | None:
        marks: tuple[Held | None, ...] = (getattr(reply, mark), reply.baseline)
        now, before = (None if one is None else getattr(one, field) for one in marks)
        return None if now is None or before is None else float(now - before)

    return of_reply


def device_bytes_peak(reply: MemoryTaken) -> float | None:
    """The most that the driver of the device held; None: nothing counts it, or an older reply."""
    held = None if reply.device is None else reply.device.peak_bytes
    return None if held is None else float(held)


def _slopes(steps_ns: Sequence[int]) -> list[float]:
    """Slopes in ns per token of the pairs of one pass; the cache grows by one token a step."""
    if len(steps_ns) < SLOPE_STEPS:
        return []
    half = len(steps_ns) // 2
    return [(steps_ns[index + half] - steps_ns[index]) / half for index in range(half)]


def _median_step_ns(process: ProcessSamples) -> float | None:
    """Median over passes of (time of the pass's steps / their number), ns."""
    if not process.sample.itl_ns:
        raise ValueError("no decode step was timed")
    passes = [steps for steps in process.sample.itl_ns if steps]
    if not passes:
        return None
    return float(median(sum(steps) / len(steps) for steps in passes))
