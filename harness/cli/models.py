"""`bench models`: the catalog, the systems of the source documents, and what a model is."""

from pathlib import Path

import click

from harness.cli.completion import MODEL
from harness.cli.estimate_here import machine_memory
from harness.cli.options import FORMATS, Word, cache_option, format_option, offline_option
from harness.cli.output import show
from harness.models.catalog.catalog import catalog_models
from harness.models.catalog.systems import systems
from harness.report.models_table import draw_catalog, draw_systems

# What a running system and its other programs leave to a model; as in the device catalog.
OS_SHARE = 0.25


@click.command("models", epilog="Example:  bench models path/to/export --format md")
@click.argument("names", nargs=-1, metavar="[MODEL]...", shell_complete=MODEL)
@click.option(
    "--source",
    type=Word(["catalog", "built", "seeds"]),
    default="catalog",
    show_default=True,
    help="All published models, those that this version builds, or the systems of the documents.",
)
@offline_option()
@cache_option()
@format_option(FORMATS)
def command(
    names: tuple[str, ...], source: str, offline: bool, cache: Path | None, style: str
) -> None:
    """Say what each MODEL is; without one, list the catalog.

    The list has parameters (total, active, read per token), sizes and what fits here.
    Sizes are MiB of stored weights, scales included, at a few levels (JSON has all of them); KV is
    the cache per token at fp32. `fits` names those of them whose estimated peak with 128 tokens is
    within three quarters of this machine's memory. sLLM is a model under 10 billion parameters.
    Of a system `answer` says what `bench estimate` tells: models of the catalog, the count that is
    stated, its parts where it makes no text, or the largest model that could run.
    Built models need no download: their weights are seeded random unless the model is said to be
    trained.

    MODEL is a word that --model takes. Of an export it says what was recognised: kind, graphs,
    parameters as counted in the file, how they are stored, the levels and the tests it can run.
    """
    if names:
        _describe(names, cache, offline, style)
        return
    if source == "seeds":
        show(draw_systems(systems(), style))
        return
    _, memory_bytes = machine_memory()
    available_bytes = None if memory_bytes is None else memory_bytes * (1 - OS_SHARE)
    models = [m for m in catalog_models() if source == "catalog" or m.structure.spec is not None]
    show(draw_catalog(models, available_bytes, style))


def _describe(names: tuple[str, ...], cache: Path | None, offline: bool, style: str) -> None:
    """Print what every named model is, one column each."""
    from harness.cli.running import fetch_into
    from harness.machine.watch.facts import usable_cores
    from harness.report.model_facts import draw_facts, model_facts  # the catalog needs no plan
    from harness.runner.settings import flag_values, load_settings

    words = flag_values({"model": ",".join(names)})
    settings = fetch_into(load_settings(None, **words), cache, offline)
    show(draw_facts(model_facts(settings, cache, usable_cores()), style))
