"""Options that the commands of `bench fleet` share."""

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


def scheduler_options() -> Decorator:
    """`--scheduler` and the files of TLS."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(OPTIONS):
            command = option(command)
        return command

    return add
