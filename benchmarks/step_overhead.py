"""What a decode step costs outside ONNX Runtime: sum of (whole step - inner) over sum of inner.

    python benchmarks/step_overhead.py MODEL LEVEL THREADS [STEPS]

The whole step is the inter-token latency exactly as `bench` reports it: binding, run, the search
for the largest logit over the vocabulary, feeding the token back, handing it out. The inner part is
`run_with_iobinding` within that same step, from the same process and the same steps. Our loop makes
no copy of the logits, they land in memory of ours; but whoever reads them first pays for the cold
caches that a run leaves. `copy us` is what a plain copy of them right after a run costs in the same
process: outer minus copy is the step against run plus copy, the least that any caller pays.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.core.units import NS_PER_US
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.decoder import DecoderSession
from harness.engine.measuring import Measuring
from harness.engine.passes import run_pass
from harness.engine.workload import Workload
from harness.models.weights.source import resolve_model
from harness.results.enums import Kind
from harness.store.cache import default_cache, ensure_artifact

PASS_STEPS = 64  # the cache is rewound after so many
WARM_SECONDS = 10.0
COLUMNS = (
    *("model", "level", "threads", "vocabulary", "steps"),
    *("inner us", "outer us", "outer %", "copy us", "outer - copy us"),
)


class TimedSession:
    """An ONNX Runtime session that notes how long each run took."""

    def __init__(self, session: Any) -> None:
        """Wrap an open session."""
        self._session = session
        self.inner_ns: list[int] = []

    def io_binding(self) -> Any:
        """The real session's binding."""
        return self._session.io_binding()

    def get_input_memory_infos(self) -> Any:
        """Where the real session wants its inputs."""
        return self._session.get_input_memory_infos()

    def run_with_iobinding(self, binding: Any) -> None:
        """The real run between two clock reads; the rest of this method counts as outer."""
        start_ns = time.perf_counter_ns()
        self._session.run_with_iobinding(binding)
        self.inner_ns.append(time.perf_counter_ns() - start_ns)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Two durations of every step.

    Attributes:
        whole_ns: from the end of one token to the end of the next.
        inner_ns: of it, inside ONNX Runtime's run.
        copy_ns: of a plain copy of the logits right after a run, in steps of their own.
    """

    whole_ns: Sequence[int]
    inner_ns: Sequence[int]
    copy_ns: Sequence[int]

    @property
    def outer_share(self) -> float:
        """Sum of (whole - inner) over sum of inner."""
        return sum(self.whole_ns) / sum(self.inner_ns) - 1

    @property
    def outer_us(self) -> float:
        """Mean of whole - inner, in microseconds a step."""
        return (sum(self.whole_ns) - sum(self.inner_ns)) / len(self.whole_ns) / NS_PER_US

    @property
    def copy_us(self) -> float:
        """Mean of the copies, in microseconds."""
        return sum(self.copy_ns) / len(self.copy_ns) / NS_PER_US


def measure(graph: Path, geometry: DecoderGeometry, threads: int, steps: int) -> Overhead:
    """Time at least `steps` greedy steps at batch 1, warm, in passes from an empty cache."""
    opened = open_session(graph, find_device("cpu"), threads)
    timed = TimedSession(opened.session)
    pass_steps = min(PASS_STEPS, geometry.max_context_tokens)
    decoder = DecoderSession(replace(opened, session=timed), geometry, 1, pass_steps)
    measuring = Measuring(decoder, seed=0)
    workload = Workload(Kind.DECODE, prompt_tokens=0, gen_tokens=pass_steps)
    measuring.warm(workload, WARM_SECONDS)
    timed.inner_ns.clear()
    whole_ns: list[int] = []
    while len(whole_ns) < steps:
        whole_ns += run_pass(decoder, workload, measuring.ids(workload)).sample.itl_ns
    inner_ns = list(timed.inner_ns)
    return Overhead(whole_ns, inner_ns, copies(decoder, measuring.ids(workload), pass_steps))


def copies(decoder: DecoderSession, ids: NDArray[np.int64], steps: int) -> list[int]:
    """Time a copy of the logits right after each of `steps` runs, ns."""
    copy_ns = []
    decoder.rewind(0)
    for _ in range(steps):
        decoder.feed(ids)
        decoder.run()
        start_ns = time.perf_counter_ns()
        decoder.last_logits.copy()
        copy_ns.append(time.perf_counter_ns() - start_ns)
    return copy_ns


def row(name: str, level: str, threads: int, vocab_size: int, overhead: Overhead) -> str:
    """One line of a Markdown table under COLUMNS."""
    cells = (
        name,
        level,
        threads,
        vocab_size,
        len(overhead.whole_ns),
        f"{median(overhead.inner_ns) / NS_PER_US:.0f}",
        f"{overhead.outer_us:.1f}",
        f"{100 * overhead.outer_share:.2f}",
        f"{overhead.copy_us:.1f}",
        f"{overhead.outer_us - overhead.copy_us:.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("level")
    parser.add_argument("threads", type=int)
    parser.add_argument("steps", type=int, nargs="?", default=512)
    asked = parser.parse_args()
    artifact = ensure_artifact(resolve_model(asked.model), asked.level, default_cache())
    overhead = measure(artifact.graph, artifact.geometry, asked.threads, asked.steps)
    print(f"| {' | '.join(COLUMNS)} |")
    print("|" + "---|" * len(COLUMNS))
    vocab_size = artifact.geometry.vocab_size
    print(row(artifact.name, asked.level, asked.threads, vocab_size, overhead))


if __name__ == "__main__":
    main()
