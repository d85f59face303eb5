"""`bench explain`: the words of every table."""

import click

from harness.glossary import explain, terms


@click.command("explain", epilog="Example:  bench explain ttft_ms")
@click.argument("term", required=False)
def command(term: str | None) -> None:
    """Print what TERM means, in which unit, and what is left out; without TERM, list all terms."""
    click.echo(explain(term) if term else "\n".join(terms()))
