"""`bench calibrate`: measure this machine's hardware peaks once, keep them, and print them."""

from pathlib import Path

import click

from harness.builder.quantize.levels import find_levels
from harness.cli.completion import LEVELS, row_names, words
from harness.cli.options import (
    FORMATS,
    cache_option,
    details_option,
    format_option,
    quiet_option,
    wait_option,
)
from harness.cli.output import show, tell
from harness.core.errors import UsageError
from harness.core.ranges import parse_names
from harness.runner.plan import plan_threads

EXAMPLE = "Example:  bench calibrate --quant fp32,int4 --threads 1,2"
DEFAULT_LEVELS = "fp32,int8,int4"  # of the default plan


@click.command("calibrate", epilog=EXAMPLE)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    shell_complete=words(row_names),
    help="One row of the device table.",
)
@click.option(
    "--quant",
    default=DEFAULT_LEVELS,
    show_default=True,
    shell_complete=LEVELS,
    help="Levels to cover.",
)
@click.option("--threads", default="all", show_default=True, help="Intra-op threads: 1,2 or all.")
@click.option("--full", is_flag=True, help="Every level, more and longer processes.")
@click.option("--again", is_flag=True, help="Measure even what is stored.")
@cache_option("Where constants are kept.")
@wait_option()
@quiet_option()
@details_option()
@format_option(FORMATS)
def command(
    device: str,
    quant: str,
    threads: str,
    full: bool,
    again: bool,
    cache: Path | None,
    wait: str | None,
    quiet: bool,
    style: str,
) -> None:
    """Measure what this machine can do at most: the constants behind the calibrated estimates.

    Read bandwidth over working sets, matrix rates of each level's kernel at one token and at
    prompt lengths, attention, and the fixed cost of a call; each with its 95 % interval over fresh
    processes. No whole model is timed. Kept per machine, onnxruntime version and thread count.
    """
    from harness.cli.progress import open_progress
    from harness.cli.running import seconds_of
    from harness.devices.table import find_row
    from harness.estimator.calibration.calibrate import calibration_key, ensure_constants
    from harness.machine.watch.facts import machine_facts
    from harness.machine.watch.sole import sole_measurement
    from harness.report.calibration_table import draw_constants
    from harness.store.cache import default_cache

    facts = machine_facts()
    row = find_row(device)
    if row.kind != "cpu":
        raise UsageError(
            f"the hardware peaks of {row.key} cannot be calibrated yet",
            fix="bench calibrate --device cpu",
        )
    levels = tuple(level.name for level in find_levels(parse_names(quant, "--quant")))
    counts = thread_counts(threads, facts.usable_cores or 1)
    folder = cache or default_cache()
    waits = sole_measurement(folder, [row.kind], "bench calibrate", seconds_of(wait), tell)
    with waits, open_progress(quiet) as view:
        stored = [
            ensure_constants(
                folder,
                calibration_key(facts, row.key, count),
                levels,
                full=full,
                again=again,
                log=lambda line: view(line, 0, 0),
            )
            for count in counts
        ]
    show(draw_constants(stored, style))


def thread_counts(text: str, usable: int) -> tuple[int, ...]:
    """Return the thread counts of the flag, each once, as a plan takes them.

    Raises:
        UsageError: a word that is no count from 1 to `usable`, nor `all`.
    """
    return plan_threads(parse_names(text, "--threads"), usable)
