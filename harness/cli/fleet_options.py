"""Options that the commands of `bench fleet`, and `bench cell`, share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.cli.options import Decorator


def _file(name: str, help_text: str) -> Decorator:
    return click.option(
        name, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help=help_text
    )


OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        required=True,
        help="Where dask's scheduler is: tls://HOST:8786, or tcp://127.0.0.1:8786 on one machine.",
    ),
    _file("--tls-ca", "Certificates of the fleet's own authority, PEM."),
    _file("--tls-cert", "The certificate of this side, PEM."),
    _file("--tls-key", "The key that belongs to it, PEM."),
)


CELL_MODELS: tuple[Decorator, ...] = (
    click.option(
        "--models",
        multiple=True,
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="A folder of models that a cell may name by their hash. May be given again.",
    ),
    click.option("--allow-hub", is_flag=True, help="Fetch what a cell names on the hub."),
)


def scheduler_options() -> Decorator:
    """`--scheduler` and the files of TLS."""
    return _all_of(OPTIONS)


def cell_model_options() -> Decorator:
    """`--models` and `--allow-hub`: where a cell's models may come from."""
    return _all_of(CELL_MODELS)


def _all_of(options: tuple[Decorator, ...]) -> Decorator:
    """Return a decorator that adds these options, the first of them first in the help."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add
