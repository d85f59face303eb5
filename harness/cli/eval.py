"""`bench eval`: tasks of EleutherAI's lm-evaluation-harness over a built decoder."""

from pathlib import Path

import click

from harness.cli.completion import LEVELS, MODEL
from harness.cli.options import (
    FORMATS,
    cache_option,
    details_option,
    format_option,
    offline_option,
    quiet_option,
)
from harness.cli.output import show

EXAMPLE = "Example:  bench eval smollm2-135m --tasks my_task --include path/to/tasks --limit 100"


@click.command("eval", epilog=EXAMPLE)
@click.argument("model", shell_complete=MODEL)
@click.option("--tasks", required=True, help="Names of tasks or groups, comma-separated.")
@click.option(
    "--include",
    type=click.Path(path_type=Path),
    help="Folder with tasks of your own, as YAML. They may name Python code, which is run.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Items of each task.  [default: all]")
@click.option(
    "--shots",
    type=click.IntRange(min=0),
    help="Examples before each item.  [default: as the task says]",
)
@click.option(
    "--quant",
    default="fp32",
    show_default=True,
    shell_complete=LEVELS,
    help="Levels, comma-separated.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Intra-op threads.  [default: physical cores]"
)
@offline_option()
@cache_option()
@quiet_option()
@details_option()
@format_option(FORMATS)
def command(
    model: str,
    tasks: str,
    include: Path | None,
    limit: int | None,
    shots: int | None,
    quant: str,
    threads: int | None,
    offline: bool,
    cache: Path | None,
    quiet: bool,
    style: str,
) -> None:
    """Run tasks of lm-evaluation-harness on MODEL at each level, on the CPU.

    Needs `pip install 'ondevice-bench[lm-eval]'`, which brings no torch. A task reads its data
    from this machine or fetches it from the hub, as lm-evaluation-harness does; --offline keeps it
    from that. MODEL is a decoder that is built here. Seeded weights answer like a guess: the
    numbers then say nothing.
    """
    from harness.builder.quantize.levels import find_levels
    from harness.cli.progress import open_progress
    from harness.cli.running import fetch_into
    from harness.core.ranges import parse_names
    from harness.machine.watch.facts import usable_cores
    from harness.report.evaluation_table import draw_evaluation
    from harness.runner.evaluation.evaluate import Asked, evaluate_levels
    from harness.runner.models import find_model
    from harness.runner.settings import flag_values, load_settings
    from harness.store.cache import default_cache

    levels = [level.name for level in find_levels(parse_names(quant, "--quant"))]
    asked = Asked(parse_names(tasks, "--tasks"), include, limit, shots, offline)
    settings = fetch_into(
        load_settings(None, **flag_values({"model": model})), cache, offline, quiet
    )
    found = find_model(settings.model[0])
    with open_progress(quiet) as view:
        rows = list(
            evaluate_levels(
                found,
                levels,
                asked,
                cache or default_cache(),
                threads or usable_cores(),
                lambda line: view(line, 0, 0),
            )
        )
    show(draw_evaluation(rows, style))
