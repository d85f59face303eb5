"""Options that commands share, words that they take, and what is said of those they do not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.core.errors import UsageError, nearest, suggestion

FORMATS = ("table", "md", "csv", "json", "jsonl")
# What a job of a build service reads, besides; the table of them is harness.report.exporters.
EXPORTS = (
    *("junit", "openmetrics", "bencher", "benchmark-action", "benchmark-action-bigger"),
    *("pyperf", "benchstat"),
)
GITHUB = "github"
WIDE_TABLE = "wide"  # a table with all columns: `--wide`
VERBOSE = "harness.verbose"  # of a context: details are asked for
AS_WIDE = "harness.wide"  # likewise: all columns
WIDE = "All columns of the table; else those that fit 78 characters."
DOCUMENT_FORMATS = (*FORMATS, GITHUB, *EXPORTS)
COMPARE_FORMATS = (*FORMATS, GITHUB, "junit", "benchstat")
AB_FORMATS = (*FORMATS, GITHUB, "junit")  # turns are no results document, which benchstat reads

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # takes no type before click 8.2


class Word(_Choice):
    """One word of a few; another one is answered with those that are near."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word.

        Raises:
            UsageError: it is none of them.
        """
        if value in self.choices:
            return str(value)
        flag = param.opts[0] if param is not None else "the word"
        raise UsageError(
            f"{flag} {value!r} is none of its words", fix=suggestion(str(value), self.choices)
        )


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def format_option(formats: Sequence[str], *, has_wide: bool = False) -> Decorator:
    """`--format`: how a command draws; and `--wide`, which makes its table as wide as it comes.

    Args:
        formats: that there are, the usual one first.
        has_wide: the command has an option `--wide` of its own.
    """
    drawn = click.option(
        "--format",
        "style",
        type=Word(tuple(formats)),
        default=formats[0],
        show_default=True,
        callback=None if has_wide else _made_wide,
        help="How it is drawn.",
    )
    if has_wide:
        return drawn
    wide = click.option(
        "--wide", is_flag=True, is_eager=True, expose_value=False, callback=_note_wide, help=WIDE
    )
    return lambda command: drawn(wide(command))


def _note_wide(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    ctx.meta[AS_WIDE] = asked


def _made_wide(ctx: click.Context, _param: click.Parameter, style: str) -> str:
    """The table as wide as it comes, where that is asked for."""
    return WIDE_TABLE if style == FORMATS[0] and ctx.meta.get(AS_WIDE) else style


def wide_option() -> Decorator:
    """`--wide`: every column of a table."""
    return click.option("--wide", is_flag=True, help=WIDE)


def beside_option() -> Decorator:
    """`-oe`: a second format, on stderr."""
    return click.option(
        "-oe",
        "--output-err",
        "beside",
        type=Word(tuple(one for one in DOCUMENT_FORMATS if one != GITHUB)),
        help="A second format, on stderr, such as csv; -q keeps progress out of it.",
    )


def cache_option(what: str = "Where built models are kept.") -> Decorator:
    """`--cache`: a folder of built models and of what was measured of the machine."""
    return click.option("--cache", type=click.Path(path_type=Path), help=what)


def results_option(name: str = "results") -> Decorator:
    """`--results`: the folder of results files."""
    return click.option(
        "--results",
        name,
        type=click.Path(path_type=Path),
        default=Path("results"),
        show_default=True,
        help="Where the run is kept.",
    )


def quiet_option() -> Decorator:
    """`-q`: no progress."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="No progress on stderr: errors and where results lie."
    )


def _note_verbose(ctx: click.Context, _param: click.Parameter, asked: bool) -> bool:
    ctx.meta[VERBOSE] = asked
    return asked


def details_option(more: str = "", *, is_told: bool = False) -> Decorator:
    """`-v`: details, which harness.cli.progress tells where the context says so.

    Args:
        more: what a command tells besides.
        is_told: the command gets it as `verbose`.
    """
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=is_told,
        callback=_note_verbose,
        help=f"Details on stderr: {more}versions, what each test took, why a cell was skipped, the"
        " last lines of each worker; -q goes over it.",
    )


def wait_option() -> Decorator:
    """`--wait`: how long another measurement is waited for."""
    return click.option(
        "--wait",
        metavar="TIME",
        help="Longest wait for another bench that measures here, then go on beside it and mark the"
        " rows OTHER_BENCH: 0s, 10m.  [usual: until it ends]",
    )


def on_options() -> Decorator:
    """`--on`, `--remote-python` and `--machine`: another machine, which ssh or adb reaches."""
    on = click.option(
        "--on",
        metavar="ssh:HOST",
        help="Measure on another machine instead: ssh:HOST, ssh:USER@HOST or adb:SERIAL.",
    )
    python = click.option(
        "--remote-python",
        metavar="PATH",
        help="The Python of that machine: one that has bench, or that an environment is made of.",
    )
    word = click.option("--machine", metavar="WORD", help="What that machine is called in results.")
    return lambda command: on(python(word(command)))


def offline_option() -> Decorator:
    """`--offline`: nothing is fetched."""
    return click.option(
        "--offline", is_flag=True, help="Fetch nothing: hf: models as they were fetched."
    )


class Renamed(click.Option):
    """An option whose former names still work; the help has the new one only."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Name and help."""
        every, self.opts = self.opts, self.opts[:1]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = every


def correction_option() -> Decorator:
    """`--no-correction`: every line of a comparison by itself; `--each` up to version 0.1."""
    return click.option(
        "--no-correction",
        "--each",
        cls=Renamed,
        is_flag=True,
        help="No correction for multiple comparisons (Holm): more verdicts, more false ones.",
    )


def inconclusive_option() -> Decorator:
    """`--inconclusive`: what an undecided gate counts as."""
    return click.option(
        "--inconclusive",
        type=Word(("warn", "fail", "ok")),
        default="warn",
        show_default=True,
        help="What a gate that is INCONCLUSIVE does: warn, fail (end with 1), ok.",
    )


def first_sentence(error: click.ClickException) -> str:
    """What is wrong with a command line, without click's own guess at what was meant."""
    if isinstance(error, click.NoSuchOption):
        return f"No such option {error.option_name!r}."
    return error.format_message()


def way_out(error: click.ClickException) -> str:
    """What to try: options that look like the unknown one, else the help of the command."""
    context = getattr(error, "ctx", None)
    if context is None:
        return "bench --help"
    if isinstance(error, click.NoSuchOption):
        params = context.command.get_params(context)
        options = [word for param in params for word in (*param.opts, *param.secondary_opts)]
        if close := nearest(error.option_name, options):
            return f"did you mean {' or '.join(close)}? {context.command_path} --help"
    return f"{context.command_path} --help"
