"""`bench fleet worker`: offer this machine's devices to a scheduler."""

from pathlib import Path

import click

from harness.cli.fleet_options import cell_model_options, scheduler_options
from harness.cli.options import cache_option, quiet_option
from harness.cli.output import tell


@click.command(
    "worker",
    epilog="Example:  bench fleet worker --scheduler tcp://127.0.0.1:8786 --name shelf-3",
)
@scheduler_options()
@click.option(
    "--name",
    metavar="WORD",
    help="What this machine is called in results; two of a kind need one each.  [default:"
    " BENCH_MACHINE]",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fleet-worker"),
    show_default=True,
    help="Where results lie before they are sent.",
)
@cell_model_options()
@click.option("--allow-simulated", is_flag=True, help="Offer what is emulated here as well.")
@cache_option()
@quiet_option()
def worker(
    scheduler: str,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    name: str | None,
    out: Path,
    models: tuple[Path, ...],
    allow_hub: bool,
    allow_simulated: bool,
    cache: Path | None,
    quiet: bool,
) -> int:
    """Take cells from a scheduler and measure each by `bench cell`, one at a time.

    What a small graph proves to work here is offered, as `bench devices` lists it. The process runs
    cells of plans and nothing else: any other task is refused. Ctrl-C ends it, and what is measured
    then goes on when the cell comes again. It ends with 4 once the scheduler is lost: the cell that
    is measured is finished first, and `bench merge` makes one document of what lies in --out.
    """
    from harness.cli.signals import end_as_with_ctrl_c
    from harness.core.environment import MACHINE, read_variable
    from harness.fleet.cell_run import check_label, machine_id
    from harness.fleet.scheduling.engine import load_engine
    from harness.fleet.scheduling.offer import own_offer
    from harness.fleet.scheduling.security import scheduler_address
    from harness.fleet.scheduling.task import Children, Station
    from harness.fleet.scheduling.worker import serve

    address = scheduler_address(scheduler, tls_ca, tls_cert, tls_key)
    label = check_label(read_variable(MACHINE) if name is None else name)
    load_engine()  # missing, it is said before devices are tried
    end_as_with_ctrl_c()
    offer = own_offer(label, machine_id, allow_simulated)
    words = ["--machine", label, "-q", *(["--allow-hub"] if allow_hub else [])]
    for folder in models:
        words += ["--models", str(folder.absolute())]
    if cache is not None:
        words += ["--cache", str(cache.absolute())]
    children = Children(words)
    station = Station(offer, out.absolute(), children)
    return serve(address, station, children.stop, (lambda _line: None) if quiet else tell)
