"""Does the usual warm-up end too early? Its processes beside some that warm up for longer.

    python benchmarks/warm_up_bias.py --rounds 20

In every round each level of the default plan runs twice, in a drawn order, each time in a fresh
process: as always, and with full_warm_up.py, which has windows twice as long and no short cuts.
Printed are the ratio of the rates that the two give, with its 95 % interval over rounds, how often
each was not steady, and the seconds that each warmed up. A ratio off 1 is a bias of the short one.
Run nothing beside it.
"""

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from statistics import fmean

from harness.machine.watch.facts import usable_cores
from harness.results.metrics import rate_of_kind
from harness.runner.loop.builds import ensure_group
from harness.runner.loop.order import shuffled
from harness.runner.loop.parts import cell_of
from harness.runner.loop.session import measure_group
from harness.runner.plan import SessionGroup, make_plan
from harness.runner.plan.runtimes import WORKERS
from harness.runner.settings import load_settings
from harness.stats.differences import paired_difference
from harness.store.cache import default_cache

USUAL, FULL = "usual", "full"


@dataclass
class Form:
    """What the processes of one form gave: rates, and of each warm-up its length and end."""

    logs: list[float] = field(default_factory=list)
    steady: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Print one row per level and test."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", default="all")
    options = parser.parse_args()
    WORKERS[FULL] = "full_warm_up"
    settings = load_settings("default", threads=(options.threads,))
    groups = make_plan(settings, usable_cores()).groups
    cache = default_cache()
    artifacts = {group.key: ensure_group(group, cache, settings.seed) for group in groups}
    found: dict[tuple[str, str], Form] = defaultdict(Form)

    def measure(group: SessionGroup, form: str, index: int) -> None:
        artifact = artifacts[group.key]
        asked = replace(group, runtime=FULL) if form == FULL else group
        tests = {workload.name: workload for workload in group.workloads}
        for entry in measure_group(asked, artifact, index, settings):
            test = tests[entry.workload]
            rate = rate_of_kind(test.kind)
            value = (
                None if rate.value is None else rate.value(cell_of(group, test, artifact), entry)
            )
            assert value is not None
            row = found[f"{group.level.name} {test.name} {rate.name}", form]
            row.logs.append(math.log(value))
            row.steady.append(entry.warm.steady)
            row.seconds.append(entry.warm.seconds)

    for index in range(options.rounds):
        items = [(group, form) for group in groups for form in (USUAL, FULL)]
        for group, form in shuffled(items, settings.seed, index):
            measure(group, form, index)
        print(f"round {index + 1} of {options.rounds}", flush=True)
    print("\n| row | usual / full | not steady, usual | full | warm s, usual | full |")
    print("|---|---|---|---|---|---|")
    for name in dict.fromkeys(row for row, _ in found):
        usual, full = found[name, USUAL], found[name, FULL]
        difference = paired_difference(full.logs, usual.logs)
        low, high = difference.interval()
        print(
            f"| {name} | {math.exp(difference.center):.3f} ({math.exp(low):.3f} to"
            f" {math.exp(high):.3f}) | {1 - fmean(usual.steady):.0%} | {1 - fmean(full.steady):.0%}"
            f" | {fmean(usual.seconds):.2f} | {fmean(full.seconds):.2f} |"
        )


if __name__ == "__main__":
    main()
