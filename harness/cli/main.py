"""`bench`: the table of commands, the default command, and the one place where errors end.

Commands are imported when they are used: `bench --help` starts in a tenth of a second.
"""

import io
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import first_sentence, way_out
from harness.cli.output import show, tell, tell_problem
from harness.core.environment import COMPLETE, DEBUG, read_variable
from harness.core.errors import (
    EXIT_DEVICE,
    EXIT_FAULT,
    EXIT_INTERRUPTED,
    EXIT_STORAGE,
    EXIT_USAGE,
    HarnessError,
    UsageError,
    suggestion,
)

# name, module that holds `command`, the one line that `bench --help` prints
COMMANDS = (
    ("run", "harness.cli.run", "Measure: the default command, so `bench --device cpu` is enough."),
    ("plan", "harness.cli.plan", "List the cells of a plan; write them as files for a fleet."),
    ("cell", "harness.cli.cell", "Measure one cell of a plan, as a queue brings it."),
    ("devices", "harness.cli.devices", "List every provider: what is installed, what works here."),
    (
        "doctor",
        "harness.cli.doctor",
        "Look for what would make every number wrong, and say how to fix it.",
    ),
    ("levels", "harness.cli.levels", "List quantization levels: what each stores, where it runs."),
    (
        "models",
        "harness.cli.models",
        "What a model is; the catalog: parameters, sizes, what fits here.",
    ),
    ("estimate", "harness.cli.estimate", "Predict memory, speed and energy without a run."),
    ("calibrate", "harness.cli.calibrate", "Measure what this machine can do at most, once."),
    (
        "validate-estimates",
        "harness.cli.validate_estimates",
        "Say how far every estimate is from what was measured.",
    ),
    ("scaling", "harness.cli.scaling", "Ask whether the parameter count alone predicts."),
    ("ab", "harness.cli.ab", "Compare two variants: a paired, interleaved A/B test."),
    ("fit", "harness.cli.fit", "Find what meets requirements: model, level, threads."),
    ("tune", "harness.cli.tune", "Find the fastest settings of a model on this machine."),
    (
        "audit",
        "harness.cli.audit",
        "Validate the measurement: outputs, caching, counts and clocks.",
    ),
    ("eval", "harness.cli.eval", "Run tasks of lm-evaluation-harness on a model's levels."),
    ("compare", "harness.cli.compare", "Say what is faster, slower, the same, or inconclusive."),
    ("merge", "harness.cli.merge", "Make one document of many results, of many machines."),
    ("fleet", "harness.cli.fleet", "Measure one plan on many devices, by dask.distributed."),
    ("results", "harness.cli.results", "List the runs of a folder, the latest first."),
    ("history", "harness.cli.history", "Index many runs: trends, steps, SQL, Parquet."),
    ("verify", "harness.cli.verify", "Say whether stored results are as they were written."),
    ("sign", "harness.cli.sign", "Sign stored results with an ssh key."),
    ("cache", "harness.cli.cache", "List what lies in the cache of built models, or prune it."),
    ("report", "harness.cli.report", "Draw a stored results file again, in any format."),
    ("site", "harness.cli.site", "Make a static site of many results, to publish from CI."),
    ("explain", "harness.cli.explain", "Print what a term means, or the sum behind an estimate."),
)
DEFAULT_COMMAND = "run"
REINSTALL = "pip install --force-reinstall ondevice-bench, in an environment of its own"
ISSUES = "https://github.com/ondevice-bench/ondevice-bench/issues"

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class BenchGroup(click.Group):
    """A group whose commands are imported on use, and whose default command is `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return [name for name, _, _ in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None for an unknown name."""
        module = next((module for name, module, _ in COMMANDS if name == cmd_name), None)
        if module is None:
            return None
        command = import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name is answered with those that are near."""
        if args and not ctx.resilient_parsing and args[0] not in self.list_commands(ctx):
            raise UsageError(
                f"bench has no command {args[0]!r}",
                fix=suggestion(args[0], self.list_commands(ctx)),
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`bench --device cpu` is `bench run --device cpu`; only --help and --version stay ours."""
        own = {option for param in self.get_params(ctx) for option in param.opts}
        if args and args[0].startswith("-") and args[0] not in own:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        """Commands without importing them; options of `run` too, for they may come first."""
        from click.shell_completion import CompletionItem

        if not incomplete.startswith("-"):
            found = [one for one in COMMANDS if one[0].startswith(incomplete)]
            return [CompletionItem(name, help=line) for name, _, line in found]
        run = self.get_command(ctx, DEFAULT_COMMAND)
        assert run is not None  # it stands in the table
        inner = click.Context(run, parent=ctx, info_name=DEFAULT_COMMAND, resilient_parsing=True)
        return [*super().shell_complete(ctx, incomplete), *run.shell_complete(inner, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table without importing a single command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, _, line in COMMANDS])


def print_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    """Print the version of the installed distribution; a checkout may never have been installed."""
    if not asked or ctx.resilient_parsing:
        return
    from harness.core.version import installed_version

    show(f"bench {installed_version()}")
    ctx.exit()


@click.group(
    cls=BenchGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:  bench --device cpu --model smollm2-135m --quant fp32,int4",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print the version and stop.",
)
def bench() -> None:
    """Measure small quantized ONNX language models on this device.

    Every number stands beside what the parameter count predicts.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; print errors as two lines, never as a traceback.

    Returns:
        The exit code; see harness.core.errors.
    """
    readable_streams()
    try:
        typed = tuple(sys.argv[1:] if arguments is None else arguments)
        code = bench.main(args=typed, standalone_mode=False, obj=typed)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return next(end(error) for kinds, end in ENDS if isinstance(error, kinds))
    return code if isinstance(code, int) else 0


def _refused(error: HarnessError) -> int:
    """What `bench` itself has a sentence for."""
    tell_problem(error.problem, error.fix)
    return error.exit_code


def _misused(error: click.ClickException) -> int:
    """A command line that click does not understand."""
    tell_problem(first_sentence(error), way_out(error))
    return EXIT_USAGE


def _interrupted(_error: BaseException) -> int:
    tell("bench: interrupted")
    return EXIT_INTERRUPTED


def _left(error: SystemExit) -> int:
    """How click ends a completion, or when a pipe's reader has gone."""
    return int(error.code or 0) if read_variable(COMPLETE) else EXIT_STORAGE


def _incomplete(error: ImportError) -> int:
    """A package that `bench` stands on is missing, or of a version that is not meant."""
    tell_problem(f"this installation does not work: {error}", REINSTALL)
    return EXIT_DEVICE


def _no_memory(_error: MemoryError) -> int:
    tell_problem("there is not enough memory for this", "end other programs, or ask for less")
    return EXIT_DEVICE


def _unusable(error: OSError) -> int:
    """A file or stream that takes nothing, where nobody had a better sentence."""
    where = "the output" if error.filename is None else repr(str(error.filename))
    tell_problem(
        f"{where} cannot be used: {error.strerror or error}",
        "another place, or free the disk; `bench report` draws stored results again",
    )
    sys.stdout = None  # what is left in it would fail a second time at the interpreter's end
    return EXIT_STORAGE


def tell_fault(error: Exception) -> int:
    """Say on stderr that `bench` itself is wrong, and how to report it; returns the exit code."""
    if read_variable(DEBUG):
        tell(*"".join(traceback.format_exception(error)).splitlines())
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    problem = f"this is a fault of bench: {type(error).__name__}: {error} ({where})"
    fix = f"report it at {ISSUES} with the command line"
    if not read_variable(DEBUG):
        fix += f" and what {DEBUG.name}=1 prints before it"
    tell_problem(problem, fix)
    return EXIT_FAULT


# How each kind of error ends; the first that fits. What nobody has thought of is never 1.
ENDS: tuple[tuple[type | tuple[type, ...], Callable[[Any], int]], ...] = (
    (HarnessError, _refused),
    (click.ClickException, _misused),
    ((KeyboardInterrupt, click.Abort), _interrupted),
    (SystemExit, _left),
    (ImportError, _incomplete),
    (MemoryError, _no_memory),
    (OSError, _unusable),
    (Exception, tell_fault),
)


def readable_streams() -> None:
    """Let output that its encoding cannot hold be drawn with other signs, never fail."""
    from harness.core.encoding import printable

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            printable(stream)
