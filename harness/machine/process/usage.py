"""Read what the operating system charged this process with."""

import sys
import time

from harness.machine.meters.samples import Usage


def usage_now() -> Usage:
    """Counters of this process since it began; the difference of two readings has a meaning.

    Page faults and context switches come from getrusage, which Windows does not have: None there.
    """
    cpu_ns = time.process_time_ns()
    if sys.platform == "win32":
        return Usage(cpu_ns=cpu_ns, major_faults=None, involuntary_switches=None)
    import resource

    counters = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(
        cpu_ns=cpu_ns,
        major_faults=counters.ru_majflt,
        involuntary_switches=counters.ru_nivcsw,
    )
