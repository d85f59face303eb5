"""`bench audit`: validate that the numbers of a plan time what they say they time."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.options import (
    FORMATS,
    cache_option,
    details_option,
    format_option,
    quiet_option,
    wait_option,
)
from harness.cli.output import show
from harness.cli.progress import open_progress
from harness.cli.running import alone, fetch_into
from harness.core.errors import EXIT_GATE, EXIT_OK, UsageError
from harness.core.findings import ERROR
from harness.report.findings import CheckedTest, draw_audit
from harness.runner.settings import flag_values, load_settings

if TYPE_CHECKING:
    from harness.runner.plan import Plan

LEAST_TURNS = 3


@click.command(
    "audit",
    cls=FlagsCommand,
    epilog="Example:  bench audit --model bytelm --quant fp32,int4 --gen 16",
)
@click.option("--turns", default=12, show_default=True, help="Passes of old and of new input each.")
@format_option(FORMATS)
@cache_option()
@wait_option()
@quiet_option()
@details_option()
def command(
    turns: int,
    style: str,
    cache: Path | None,
    wait: str | None,
    quiet: bool,
    plan: str | None,
    **flags: Any,
) -> int:
    """Validate the measurement of every test of a plan.

    The tokens of timed passes must be those of a plain run; the same input may not come more than
    10 % faster than new ones; there must be as many tokens and steps as the rates count; the parts
    must fit into the whole by other clocks; and on the CPU the process must have worked meanwhile.
    Positions and windows of an export must be those of the config.json beside it (a warning).
    Ends with 1 when a check fails.
    """
    from harness.machine.watch.facts import usable_cores
    from harness.runner.plan import make_plan

    if turns < LEAST_TURNS:
        raise UsageError(
            f"--turns {turns} is below {LEAST_TURNS}, and so few passes tell nothing",
            fix=f"bench audit --turns {LEAST_TURNS}",
        )
    settings = fetch_into(load_settings(plan, **flag_values(flags)), cache, quiet=quiet)
    chosen = make_plan(settings, usable_cores(), folder=cache)
    with alone(chosen.groups, cache, "bench audit", wait):
        lines = list(_audit(chosen, turns, cache, quiet))
    show(draw_audit(lines, style))
    return EXIT_GATE if any(one.found.state == ERROR for one in lines) else EXIT_OK


command.params = [*command.params, *flag_options("audit")]


def _audit(plan: "Plan", turns: int, cache: Path | None, quiet: bool) -> Iterator[CheckedTest]:
    """Build what is missing, and judge every test of every group."""
    from harness.analysis.audit import judge_audit, judge_configuration
    from harness.runner.loop.audit import audit_group
    from harness.runner.loop.builds import build_all
    from harness.store.cache import default_cache

    with open_progress(quiet) as progress:
        builds = build_all(plan, cache or default_cache(), progress)
        for error in builds.failures.values():
            raise error
        for done, group in enumerate(plan.groups):
            progress(f"auditing: {group.key}", done, len(plan.groups))
            exported = builds.of(group).recognised
            for one in audit_group(group, builds.of(group), plan.settings, turns):
                on_host = group.device.row.is_host
                for found in judge_audit(one.reply, one.parent_ns, on_host):
                    yield CheckedTest(group.key, one.workload.name, found)
                if exported is not None:
                    found = judge_configuration(exported.model.differences)
                    yield CheckedTest(group.key, one.workload.name, found)
