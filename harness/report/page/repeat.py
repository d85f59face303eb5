"""How a run is repeated: its plan as a plan file, and the commands that take it up. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from harness.report.page.runs import Run
from harness.results.plan import PlanCells, RunPlan
from harness.results.progress import go_on_command
from harness.runner.settings.flags import FLAGS
from harness.runner.settings.write import PAIRED

PLAN_FILE = "plan.toml"
# Signs that JSON leaves in a string and TOML does not take.
NOT_IN_TOML = re.compile("[\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Repeat:
    """How one run is measured again.

    Attributes:
        plan: a plan file.
        command: that reads it.
        go_on: the command that finishes a run that was not whole; empty: it is.
        fit: the command that runs what a fit chose; empty: it was no fit.
    """

    plan: str
    command: str
    go_on: str
    fit: str


def repeat_of(run: Run) -> Repeat:
    """The plan of a run and its commands."""
    plan = run.document.plan
    return Repeat(
        plan=plan_toml(plan),
        command=f"bench run --config {PLAN_FILE}",
        go_on=go_on_command(run.document),
        fit="" if plan.fit is UNSET else plan.fit.command,
    )


def plan_toml(plan: RunPlan) -> str:
    """A plan as a plan file that `bench run --config` reads; ends with a line feed.

    A key that the document does not have is left out: it was at its usual value.
    """
    parts = [] if plan.part is UNSET else list(plan.part)
    lines = [*_lines(plan)]
    for part in parts:
        lines += ["", "[[part]]", *_lines(part)]
    return "\n".join([*lines, ""])


def _lines(cells: PlanCells) -> Iterator[str]:
    """Yield `key = value` for each key that was kept."""
    for row in FLAGS:
        value = getattr(cells, row.key, UNSET) if row.in_plan else UNSET
        if value is UNSET or value is None or value == ():
            continue
        yield f"{row.key} = {_toml(row.key, value)}"


def _toml(key: str, value: Any) -> str:
    """A value as TOML, which writes lists, numbers and strings as JSON does."""
    if key in PAIRED:
        value = [f"{first}{PAIRED[key]}{second:g}" for first, second in value]
    text = json.dumps(value, ensure_ascii=False)
    return NOT_IN_TOML.sub(lambda sign: f"\\\\x{ord(sign[0]):02x}", text)
