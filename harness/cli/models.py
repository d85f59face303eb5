"""`bench models`: what can be measured without a download."""

import click

from harness.quantize.levels import LEVELS
from harness.quantize.size import stored_bytes
from harness.report.grid import draw_rows
from harness.specs.count import kv_bytes_per_token, parameters
from harness.specs.load import load_spec, spec_names
from harness.units import KIB, MIB


@click.command("models", epilog="Example:  bench models --format md")
@click.option(
    "--format", "style", type=click.Choice(["table", "md", "csv", "json"]), default="table"
)
def command(style: str) -> None:
    """List the models that need no download, with their exact sizes.

    Sizes are MiB of stored weights at each level, scales included; KV is the cache per token
    at fp32. Weights are seeded random unless the model is said to be trained.
    """
    header = ["model", "parameters", "context", "KV KiB/token", *(f"{name} MiB" for name in LEVELS)]
    rows = [_row(name) for name in spec_names()]
    click.echo(draw_rows(header, rows, style))


def _row(name: str) -> list[str]:
    spec = load_spec(name)
    sizes = [f"{stored_bytes(spec, level) / MIB:,.0f}" for level in LEVELS.values()]
    kv_kib = kv_bytes_per_token(spec, bytes_per_value=4) / KIB
    return [name, f"{parameters(spec):,}", f"{spec.max_context_tokens:,}", f"{kv_kib:g}", *sizes]
