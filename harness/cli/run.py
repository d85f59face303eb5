"""`bench run`, which is also bare `bench --device cpu`: plan, measure, draw, keep."""

from pathlib import Path
from typing import Any

import click

from harness.builder.quantize.cache import AUTO, CACHES
from harness.builder.quantize.levels import LADDER, LEVELS, STATIC_LEVELS, USUAL
from harness.cli.options import DOCUMENT_FORMATS, Word
from harness.cli.running import fetch_into, measure_plan
from harness.cli.show import show_document
from harness.runner.plan import make_plan
from harness.runner.settings import INTERLEAVES, PRESETS, flag_values, load_settings


@click.command(
    "run",
    epilog="Example:  bench --device cpu --model smollm2-135m --quant fp32,int4 --threads 1,2",
)
@click.option(
    "--device",
    help="Devices, comma-separated: cpu, gpu, npu, auto (the best that works), or a row of `bench"
    " devices`; gpu:1 is the second one.  [plan: cpu]",
)
@click.option("--ep", help="Rows of `bench devices` that may serve a class, comma-separated.")
@click.option("--ep-option", multiple=True, help="Provider option, name=value. May be given again.")
@click.option(
    "--allow-simulated/--no-allow-simulated",
    default=None,
    help="Emulate a device that is not there: proves the function, rows are marked.  [plan: no]",
)
@click.option(
    "--allow-fallback/--no-allow-fallback",
    default=None,
    help="Keep rows whose arithmetic did not all run on the device; they say so.  [plan: no]",
)
@click.option(
    "--profile/--no-profile",
    default=None,
    help="Also take where the time goes, per operator, in a process of its own.  [plan: no]",
)
@click.option(
    "--model",
    help="Catalog names, Hugging Face folders, hf:org/name[@revision][:folder], .onnx files or"
    " folders with them; comma-separated.",
)
@click.option("--offline", is_flag=True, help="Fetch nothing: hf: models as they were fetched.")
@click.option(
    "--quant",
    help=f"Levels, comma-separated; `{USUAL}`: two that the device runs; `{LADDER}`: all of them,"
    f" {', '.join(LEVELS)} on CPUs and GPUs, {', '.join(STATIC_LEVELS)} on NPUs.",
)
@click.option(
    "--kv-cache",
    help=f"Types of cached keys and values: {AUTO}, {', '.join(CACHES)}.  [plan: auto]",
)
@click.option(
    "--runtime",
    help="What runs a model: ort, our own loop, or genai, that of onnxruntime-genai.  [plan: ort]",
)
@click.option("--prompt", help="Prefill tests, tokens: 128,512 or 128-512+128 or 8-64*2.")
@click.option("--gen", help="Decode tests, tokens.")
@click.option("--pg", multiple=True, help="Request tests: prompt,gen. May be given again.")
@click.option("--enc", help="Encoder tests, tokens x texts: 128x1,128x8; encoders run no others.")
@click.option("--img", help="Vision tests, images at once: 1,8.")
@click.option(
    "--dim", multiple=True, help="Size of a free dimension of an exported graph: batch=1."
)
@click.option("--depth", help="Tokens already in the cache before prefill and decode tests.")
@click.option("--batch", help="Sequences at once, of decoders.")
@click.option("--threads", help="Intra-op threads; `all`: every usable physical core.")
@click.option("--rounds", type=int, help="Fresh processes per row.")
@click.option("--budget", help="Begin no further round after this time: 60s, 5m.")
@click.option(
    "--precision", help="Add rounds until every 95 % interval is within this half-width: 5%."
)
@click.option("--max-rounds", type=int, help="Most rounds with --precision.  [plan: 30]")
@click.option("--cooldown", help="Rest this long before each process: 30s.  [plan: 0]")
@click.option(
    "--interleave",
    type=Word(INTERLEAVES),
    help="Sessions one after the other in each round, or all open and in turns.  [plan: rounds]",
)
@click.option("--sustain", help="Also run every test this long without a rest: 10m.")
@click.option("--preset", type=Word(tuple(PRESETS)), help="How much is measured, over the plan.")
@click.option(
    "--config",
    "plan",
    help="A plan file, or a shipped plan: default, ci, ladder, kv, full, scaling, validate.",
)
@click.option("--seed", type=int, help="Seed of weights, prompts and orders.")
@click.option("--format", "style", type=Word(DOCUMENT_FORMATS), default="table", show_default=True)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True
)
@click.option("--cache", type=click.Path(path_type=Path), help="Where built models are kept.")
@click.option("--dry-run", is_flag=True, help="Print the cells and stop.")
@click.option(
    "--calibrate/--no-calibrate",
    default=None,
    help="Measure this machine's ceilings first where none are stored.  [plan: yes]",
)
@click.option(
    "--quality/--no-quality",
    default=None,
    help="Hold every level against its model at fp32, on fixed tokens.  [plan: no]",
)
@click.option(
    "--sensitivity/--no-sensitivity",
    default=None,
    help="Rank groups of matrices by what each loses at a level, per MiB saved.  [plan: no]",
)
@click.option("--reference", help="Model that quality is held against, instead of its own fp32.")
@click.option("--text", help="What quality is measured on: english, korean or a file.")
@click.option("--explain-row", is_flag=True, help="Print the sum behind every estimate as well.")
@click.option("--resume", is_flag=True, help="Go on with the unfinished run of the same plan.")
def command(
    plan: str | None,
    style: str,
    results: Path,
    cache: Path | None,
    dry_run: bool,
    explain_row: bool,
    resume: bool,
    offline: bool,
    preset: str | None,
    **flags: Any,
) -> int:
    """Measure every cell of the plan and draw one row per session.

    Results go to stdout, progress to stderr, every raw sample to one file under --results.
    """
    from harness.machine.watch.facts import usable_cores
    from harness.report.explained import explain_document
    from harness.report.plan_lines import draw_plan

    settings = load_settings(plan, preset, **flag_values(flags))
    chosen = make_plan(fetch_into(settings, cache, offline), usable_cores(), folder=cache)
    if dry_run:
        click.echo(draw_plan(chosen))
        return 0
    outcome = measure_plan(chosen, results, cache, resume)
    show_document(outcome.document, style)
    if explain_row and style in ("table", "md"):  # the others hold the sums already
        click.echo("\n" + explain_document(outcome.document, None, style))
    return outcome.exit_code
