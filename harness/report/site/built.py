"""What building a site came to, in a few lines. Pure."""

from harness.core.own_folder import Filled
from harness.report.grid import one_line
from harness.report.numbers import counted
from harness.report.site.plan import SitePlan
from harness.report.site.policy import READABLE, loosened_words

MOST_NAMED = 3  # unreadable files in the terminal; the site names all


def draw_built(plan: SitePlan, filled: Filled, place: str) -> str:
    """What the site holds, what was refused, and what was written; no line feed at the end."""
    lines = [
        f"{place}: {counted(len(plan.cells), 'cells')} of {counted(len(plan.documents), 'runs')},"
        f" {counted(len(plan.machines), 'machines')}; {counted(filled.written, 'files')} written,"
        f" {filled.same} unchanged, {filled.removed} removed"
    ]
    loosened = loosened_words(plan.policy)
    if loosened:
        lines.append(f"the policy is loosened by {loosened}, and the site says so")
    rules: dict[str, set[str]] = {}
    for one in plan.refused:
        rules.setdefault(one.rule, set()).add(one.file)
    if rules:
        told = ", ".join(f"{name} {len(files)}" for name, files in sorted(rules.items()))
        lines.append(f"files with refusals, by rule: {told} ({place}/refused.html says why)")
    damaged = [one for one in plan.refused if one.rule == READABLE]
    lines += [f"not read: {one.file}: {one.reason}" for one in damaged[:MOST_NAMED]]
    if len(damaged) > MOST_NAMED:
        lines.append(f"not read: {len(damaged) - MOST_NAMED} more")
    if not plan.cells:
        lines.append("no row meets the policy: --grade C and --allow RULES loosen it")
    return "\n".join(map(one_line, lines))
