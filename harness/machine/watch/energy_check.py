"""What counts energy on this machine, for `bench doctor`: each counter, or why it tells nothing."""

import sys
from pathlib import Path

from harness.core.findings import OK, WARNING, Finding
from harness.machine.meters.counters import DENIED, VALUE
from harness.machine.meters.energy import COUNTERS, MACHINE, PACKAGE, read_energy


def check_energy(root: Path = Path("/"), system: str = sys.platform) -> list[Finding]:
    """One finding per counter of this system; only one that may not be read is worth a change.

    Args:
        root: of the file system that Linux's counters are read from.
        system: a value of sys.platform.
    """
    answers = read_energy(root=root, system=system).answers
    hosts = [row for row in COUNTERS if row.scope in (PACKAGE, MACHINE) and row.name in answers]
    counted = any(answers[row.name].state == VALUE for row in hosts)
    findings = []
    for row in COUNTERS:
        if row.name not in answers:
            continue
        answer = answers[row.name]
        detail = (
            f"counts {row.covers}" if answer.state == VALUE else f"{answer.state}: {answer.reason}"
        )
        fix = row.fix if answer.state == DENIED and not counted else None
        findings.append(Finding(f"energy: {row.name}", OK if fix is None else WARNING, detail, fix))
    return findings
