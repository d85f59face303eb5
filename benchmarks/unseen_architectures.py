"""How far estimated decode steps are from measured ones, of architectures nothing was fitted on.

    python benchmarks/unseen_architectures.py [--profile] [--rounds 3] [--threads 1] [MODEL ...]

Models are names of the catalog; `gpt-oss-20b/6` is its first 6 layers, whole else. Each is built
once at int4, before any clock. The operators they need are calibrated where they are not stored;
then every model is timed in a fresh process a round, in an order of its own, and the median over
processes of the median step stands beside the calibrated estimate of the same step. `--profile`
adds a process each with ONNX Runtime's profile: shares of the operators that not every model has.
Use it on a quiet machine: a neighbour is in the measurement and not in the estimate.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from harness.builder.graph.geometry import DecoderGeometry
from harness.builder.quantize.levels import find_level
from harness.core.units import NS_PER_S
from harness.estimator.calibration.calibrate import ensure_constants
from harness.estimator.calibration.operators import stand_in
from harness.estimator.calibration.store import calibration_key
from harness.estimator.timing import Breakdown, decode_step, prefill
from harness.estimator.work import needed_operators
from harness.machine.watch.facts import machine_facts
from harness.models.catalog.catalog import load_spec
from harness.models.specs.dissect import spec_structure
from harness.models.specs.model import ModelSpec
from harness.models.specs.structure import ModelStructure
from harness.models.weights.source import ModelSource
from harness.results.calibration import Constants
from harness.store.cache import default_cache, ensure_built
from harness.store.request import build_request

MODELS = (
    "qwen3.5-0.8b",
    "lfm2.5-350m",
    "granite-4.0-h-350m",
    "falcon-h1-0.5b",
    "gemma-4-e2b",
    "lfm2-8b-a1b/8",
    "gpt-oss-20b/6",
)
LEVEL = "int4"
PROMPT, STEPS, DEPTH = 64, 32, 64  # steps begin behind the prompt
WARM_STEPS, LEAST_S = 16, 1.0
NEW = ("LinearAttention", "CausalConvWithState", "QMoE", "MoE", "GroupQueryAttention")


@dataclass(frozen=True, slots=True)
class Built:
    """One model, built.

    Attributes:
        name: as it was asked for.
        structure: of what was built.
        graph: of its steps.
        geometry: of the graph.
    """

    name: str
    structure: ModelStructure
    graph: Path
    geometry: DecoderGeometry


def find(word: str) -> ModelSpec:
    """Return an architecture, or its first layers."""
    name, _, layers = word.partition("/")
    spec = load_spec(name)
    assert isinstance(spec, ModelSpec), f"{name} is no decoder"
    if not layers:
        return spec
    pattern = "".join(spec.layer_pattern * spec.num_layers)[: int(layers)]
    return replace(spec, num_layers=int(layers), layer_pattern=pattern)


def build(word: str, cache: Path) -> Built:
    """Build a model at LEVEL unless the cache has it."""
    spec, name = find(word), word.replace("/", "-of-")
    request = build_request(ModelSource(name, name, spec, None), LEVEL)
    artifact = ensure_built(request, cache)
    assert isinstance(artifact.geometry, DecoderGeometry)
    return Built(word, spec_structure(spec), artifact.graph, artifact.geometry)


def measured(graph: Path, geometry: DecoderGeometry, threads: int) -> tuple[float, float]:
    """Return the median step and the median prompt of one process, in seconds."""
    from harness.devices.device import find_device
    from harness.engine.measuring import Measuring
    from harness.engine.opening import open_decoder, open_sessions
    from harness.engine.passes import run_pass
    from harness.engine.workload import Workload
    from harness.results.enums import Kind

    sessions = open_sessions(graph, geometry, find_device("cpu"), threads)
    decoder = open_decoder(sessions, geometry, 1, DEPTH + PROMPT + STEPS)
    measuring = Measuring(decoder, seed=0)
    steps_ns: list[int] = []
    prompts_ns: list[int] = []
    request = Workload(Kind.REQUEST, prompt_tokens=PROMPT, gen_tokens=STEPS)
    for turn in range(100):
        sample = run_pass(decoder, request, measuring.ids(request)).sample
        if turn:  # the first pass warms up
            steps_ns += sample.itl_ns
            prompts_ns.append(sample.prefill_ns)
        if turn >= 2 and sum(steps_ns) > LEAST_S * NS_PER_S:
            break
    return median(steps_ns) / NS_PER_S, median(prompts_ns) / NS_PER_S


def profiled(graph: Path, geometry: DecoderGeometry, threads: int) -> dict[str, float]:
    """Return the share of each operator in steps, of the time of all nodes."""
    from harness.devices.device import find_device
    from harness.devices.placement import shares, warm_events
    from harness.engine.measuring import Measuring
    from harness.engine.opening import open_decoder, open_sessions
    from harness.engine.passes import run_pass
    from harness.engine.workload import Workload
    from harness.results.enums import Kind

    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder)
        sessions = open_sessions(graph, geometry, find_device("cpu"), threads, to)
        decoder = open_decoder(sessions, geometry, 1, WARM_STEPS + STEPS)
        measuring = Measuring(decoder, seed=0)
        steps = Workload(Kind.DECODE, prompt_tokens=0, gen_tokens=WARM_STEPS + STEPS)
        run_pass(decoder, steps, measuring.ids(steps))
        events: list[Any] = []
        for session in sessions:
            path = Path(session.session.end_profiling())
            events += json.loads(path.read_text(encoding="utf-8"))
    found = shares(warm_events(events, WARM_STEPS / (WARM_STEPS + STEPS)))
    return {one.operator: one.share for one in found.operators}


def alone(do: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a fresh process answers."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(do, *arguments).result()


def estimated(model: ModelStructure, constants: Constants) -> tuple[Breakdown, Breakdown]:
    """Return the middle step behind the prompt, and the prompt."""
    level, middle = find_level(LEVEL), PROMPT + (STEPS - 1) // 2
    step = decode_step(model, level, constants, depth_tokens=middle)
    return step, prefill(model, level, constants, prompt_tokens=PROMPT)


def own_share(found: Breakdown) -> float:
    """Share of the estimate in operators that not every model has."""
    own = (t.seconds for t in found.terms if stand_in(t.work.kernel) != t.work.kernel)
    return sum(own) / found.seconds


def main() -> None:
    """Build, calibrate, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    cache = default_cache()
    models = [build(word, cache) for word in asked.models or MODELS]
    level = find_level(LEVEL)
    needed = dict.fromkeys(n for m in models for n in needed_operators(m.structure, level))
    key = calibration_key(machine_facts(), "cpu", asked.threads)
    constants = ensure_constants(cache, key, (LEVEL,), operators=tuple(needed), log=print).constants
    times: dict[str, list[tuple[float, float]]] = {model.name: [] for model in models}
    for number in range(asked.rounds):
        for model in random.Random(number).sample(models, len(models)):
            times[model.name].append(alone(measured, model.graph, model.geometry, asked.threads))
    print(f"\n{LEVEL}, {asked.threads} threads, {asked.rounds} processes each; {constants.basis}\n")
    print("| model | step ms | estimated | error | own operators | pp64 ms | estimated | error |")
    print("|---|---|---|---|---|---|---|---|")
    for model in models:
        found, cells = estimated(model.structure, constants), []
        for place, breakdown in enumerate(found):
            seconds = median(time[place] for time in times[model.name])
            error = breakdown.seconds / seconds - 1
            cells += [f"{1e3 * seconds:.2f}", f"{1e3 * breakdown.seconds:.2f}", f"{error:+.1%}"]
        cells.insert(3, f"{own_share(found[0]):.1%}")
        print(f"| {' | '.join((model.name, *cells))} |", flush=True)
    if asked.profile:
        print("\nshares of a step, of the time of all nodes (profiled)\n")
        print(f"| model | {' | '.join(NEW)} | MatMulNBits |\n|---|" + "---|" * (len(NEW) + 1))
        for model in models:
            seen = alone(profiled, model.graph, model.geometry, asked.threads)
            row = [f"{seen[name]:.1%}" if name in seen else "–" for name in (*NEW, "MatMulNBits")]
            print(f"| {' | '.join((model.name, *row))} |", flush=True)


if __name__ == "__main__":
    main()
