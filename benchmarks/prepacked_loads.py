"""How long a model takes to load with saved copies of its weights, beside the usual way.

    python benchmarks/prepacked_loads.py --model smollm2-135m --level int4 --pairs 30

A pair is one load of each form, each in a fresh process with warm files; who begins is drawn. A
form is a word of `--prepack`. Printed are geometric means, the ratio with its 95 % interval, and
the peak of anonymous memory, of a prompt of 128 tokens, from a process of its own. Run nothing
beside it.
"""

import argparse
import math
import random
import time
from statistics import fmean

from harness.core.units import MIB, NS_PER_MS
from harness.machine.process.worker import Worker
from harness.machine.watch.facts import usable_cores
from harness.results.enums import Prepack
from harness.results.values import peak_delta_anonymous_bytes
from harness.runner.loop.builds import ensure_group
from harness.runner.loop.session import measure_memory, open_group
from harness.runner.plan import SessionGroup, make_plan
from harness.runner.settings import Settings, load_settings
from harness.stats.differences import paired_difference
from harness.store.cache import default_cache
from harness.store.exported import AnyArtifact

Form = tuple[SessionGroup, AnyArtifact]


def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--level", default="int4")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--base", choices=tuple(Prepack), default=Prepack.OFF)
    parser.add_argument("--new", choices=tuple(Prepack), default=Prepack.ON)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no pair after these")
    options = parser.parse_args()
    settings = load_settings(
        "ab",
        model=(options.model,),
        quant=(options.level,),
        threads=(options.threads,),
        prompt=(128,),
        gen=(),
        prepack=(options.base, options.new),
    )
    cache = default_cache()
    groups = make_plan(settings, usable_cores()).groups
    forms = {group.prepack: (group, ensure_group(group, cache, settings.seed)) for group in groups}
    base, new = ([], [])
    chance, end_s = random.Random(settings.seed), time.monotonic() + options.seconds
    while len(base) < options.pairs and time.monotonic() < end_s:
        both = chance.sample((options.base, options.new), k=2)
        taken = {word: load_ms(forms[word], settings) for word in both}
        base.append(math.log(taken[options.base]))
        new.append(math.log(taken[options.new]))
    found = paired_difference(base, new)
    ratio, low, high = (math.exp(value) for value in (found.center, *found.interval()))
    peaks = [peak_mib(forms[word], settings) for word in (options.base, options.new)]
    print(
        f"{options.model} {options.level}, {options.threads} threads, {len(base)} pairs:"
        f" load {options.base} {math.exp(fmean(base)):.1f} ms, {options.new}"
        f" {math.exp(fmean(new)):.1f} ms, ratio {ratio:.3f} ({low:.3f} to {high:.3f});"
        f" anonymous memory at its peak {peaks[0]:.1f} and {peaks[1]:.1f} MiB,"
        f" ratio {peaks[1] / peaks[0]:.3f}",
        flush=True,
    )


def load_ms(form: Form, settings: Settings) -> float:
    """Open a model once, in a process of its own."""
    group, artifact = form
    with Worker.start(group.worker) as worker:
        opened = open_group(worker, group, artifact, settings.seed, settings.timeout)
    return opened.load_ns / NS_PER_MS


def peak_mib(form: Form, settings: Settings) -> float:
    """Anonymous memory above the start of its process, at its peak; nan where none can be told."""
    group, artifact = form
    (entry,) = measure_memory(group, artifact, group.workloads[:1], settings, lambda test: None)
    found = peak_delta_anonymous_bytes(entry.reply)
    return math.nan if found is None else found / MIB


if __name__ == "__main__":
    main()
