"""A command that shows progress and waits for keys between two steps of it."""

import sys

import click

from harness.cli.main import main
from harness.cli.progress import open_progress
from harness.core.progress import BYTES, tell_part
from harness.runner.loop.standing import CellStanding, Standing

NAMES = ("fp32 pp128 @ d0", "fp32 tg32 @ d0", "int4 pp128 @ d0", "int4 tg32 @ d0")


def standing(rounds: int) -> Standing:
    """Four cells after so many rounds."""
    halves = tuple(0.4 / place for place in range(2, rounds + 1))
    cells = (
        CellStanding(f"m/{name.split()[0]}", name, name, rounds, 132.0, "tok/s", halves)
        for name in NAMES
    )
    return Standing(tuple(cells), rounds=5, left_s=90.0)


@click.command()
def command() -> None:
    """Two rounds, and a row that is finished."""
    with open_progress() as view:
        view("building m int4", 0, 160)
        tell_part(40 * 2**20, 80 * 2**20, BYTES)
        sys.stdin.readline()
        view.board(standing(2))
        view("round 2: m/int4", 8, 24)
        sys.stdin.readline()
        view("measured: m/int4 tg32: 132 tok/s ± 19%", 9, 24)
        view.board(standing(3))
        view("round 3: m/fp32", 12, 24)
        sys.stdin.readline()
    click.echo("the table")


if __name__ == "__main__":
    from harness.cli import main as module

    module.bench = command
    sys.exit(main([]))
