"""`bench doctor`: a list of checks; each says what it found and what to do."""

from collections.abc import Callable, Sequence

import click

from harness.cli.options import FORMATS, format_option
from harness.cli.output import show
from harness.core.errors import EXIT_DEVICE, EXIT_OK
from harness.core.findings import ERROR, Finding
from harness.report.findings import draw_findings


def _wheels() -> Sequence[Finding]:
    """Imported here: it starts a child process, and the help does not need it."""
    from harness.devices.wheels import check_wheels

    return check_wheels()


def _machine() -> Sequence[Finding]:
    """Imported here: the help needs neither clocks nor counters."""
    from harness.machine.watch.doctor import check_energy, check_machine
    from harness.store.cache import default_cache

    cache = default_cache()
    return [*check_machine(cache), *check_energy(cache=cache)]


def _runtimes() -> Sequence[Finding]:
    """Imported here likewise: it starts a child process where llama.cpp is installed."""
    from harness.machine.watch.facts import machine_facts
    from harness.runner.doctor import check_llamacpp

    return check_llamacpp(machine_facts().cpu_vector_extensions)


CHECKS: tuple[Callable[[], Sequence[Finding]], ...] = (_wheels, _runtimes, _machine)


@click.command("doctor", epilog="Example:  bench doctor --format json")
@format_option(FORMATS)
def command(style: str) -> int:
    """Check the installation and the machine: can it be measured on, and what would help?

    Several distributions own the package onnxruntime; installed together the last one wins, and
    pip finds nothing wrong. Of llama.cpp: what it was built for. Of the machine: another bench
    that measures, other programs, the host of a virtual machine, frequency, power, memory, swap,
    disk, quota, clock and heat, over one second; what counts energy, and whether it follows load
    over an idle second and a busy one. Ends with 4 when something would make every number wrong; a
    warning only widens them.
    """
    found = [finding for check in CHECKS for finding in check()]
    show(draw_findings(found, style))
    return EXIT_DEVICE if any(one.state == ERROR for one in found) else EXIT_OK
