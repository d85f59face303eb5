"""`bench fleet`: one plan on many devices, by dask.distributed."""

import click

from harness.cli import fleet_run, fleet_worker

COMMANDS = (fleet_run.run, fleet_worker.worker)


@click.group(
    "fleet", epilog="Example:  bench fleet run --scheduler tcp://127.0.0.1:8786 --model bytelm"
)
def command() -> None:
    """Measure one plan on many devices, and gather one result.

    Three parts: a scheduler (`dask scheduler --no-dashboard`), a worker on every device, and who
    runs a plan. Whoever reaches a scheduler can run code there: beyond one machine only TLS is
    taken. Needs `pip install 'ondevice-bench[fleet]'` on all of them.
    """


for one in COMMANDS:
    command.add_command(one)
