"""What the machine watch costs: processor time and wake-ups of its own, by its own rusage.

    python benchmarks/watch_cost.py [SNAPSHOTS]

The watch reads the machine's counters before and after the timed part of each test, from the parent
process, and does nothing in between. So its cost a second is two snapshots over the length of a
timed part: that of the default plan is the worst case of the shipped ones. Wake-ups are the
voluntary waits of this process while it reads: it has no timer and no thread of its own.
"""

import resource
import sys
import time

from harness.core.units import NS_PER_MS
from harness.machine.watch.probes import difference, snapshot
from harness.runner.settings import load_settings

PER_TEST = 2


def main(count: int) -> None:
    part_s = load_settings("default").sample_seconds
    snapshot()  # imports and first reads
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_ns, before = time.process_time_ns(), snapshot()
    for _ in range(count):
        after = snapshot()
        difference(before, after, 0)
    each_ms = (time.process_time_ns() - cpu_ns) / NS_PER_MS / count
    waits = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - usage.ru_nvcsw
    print(f"{count} snapshots: {each_ms:.3f} ms of processor time each, {waits / count:.3f} waits")
    print(
        f"a timed part of {part_s:g} s: {PER_TEST * each_ms / part_s:.2f} ms a second of it, "
        f"{PER_TEST * waits / count / part_s:.2f} wake-ups a second, none inside it"
    )
    print(f"one of 10 s: {PER_TEST * each_ms / 10:.3f} ms a second")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
