"""A results document on stdout, in any of its formats."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import AB_FORMATS, FORMATS, GITHUB, WIDE_TABLE
from harness.cli.output import show, show_beside, tell
from harness.core.errors import EXIT_GATE, EXIT_OK, ResultFormatError, UsageError
from harness.results.schema import Document

if TYPE_CHECKING:
    from harness.results.entries import Entry

TABLE = FORMATS[0]
PAIRS = ".jsonl"  # what `bench ab` and `bench tune` write, and journals
PEOPLE = ("table", "wide", "md")  # whose notes say what requirements say
AB, TUNE = "ab", "tune"  # the first lines of theirs
PARTS = (AB, TUNE, "pair", "heat")  # any line of theirs that is not of a run as well


def show_document(
    document: Document,
    style: str,
    wide: bool = False,
    called: str = "latest",
    beside: str | None = None,
) -> None:
    """Print a document; `github` also writes the job summary.

    Args:
        document: one run.
        style: of `options.DOCUMENT_FORMATS`.
        wide: a table has all columns, whatever the width of the terminal.
        called: how a user names its file.
        beside: a second format, which goes to stderr; None: none.
    """
    from harness.report.render import render

    if beside:
        show_beside(render(document, beside))
    if style == TABLE:
        from harness.report.screen import draw_screen

        drawn = render(document, style) if wide else draw_screen(document, called)
        show(drawn, nl=False, in_colour=True)
        return
    if style != GITHUB:
        echo_drawn(render(document, style))
        return
    from harness.cli.github import tell_github
    from harness.report.github import document_annotations
    from harness.report.required import judged_document, required_annotations

    required = required_annotations(judged_document(document))
    tell_github(render(document, "md"), [*document_annotations(document), *required])


def tell_required(document: Document, style: str, inconclusive: str) -> int:
    """Say on stderr what requirements say, where the drawing does not, and give the exit code.

    Args:
        document: one run.
        style: that it was drawn in.
        inconclusive: what a limit that nothing can be told of counts as.
    """
    from harness.analysis.gate import Inconclusive, requirements_fail
    from harness.report.required import judged_document, required_lines

    lines = judged_document(document)
    for line in () if style in PEOPLE else required_lines(lines):
        tell(line)
    failed = requirements_fail([one for _, one in lines], Inconclusive(inconclusive))
    return EXIT_GATE if failed else EXIT_OK


def echo_drawn(text: str) -> None:
    """Print a drawn text; what its first line tells people alone stands on stderr too."""
    from harness.report.exporters import BENCHSTAT_FEW

    show(text, nl=False)
    first = text.partition("\n")[0]
    if first == f"# {BENCHSTAT_FEW}":
        tell(BENCHSTAT_FEW)


def is_pairs(path: Path) -> bool:
    """Whether a file is one of `bench ab` or `bench tune`, by its lines."""
    if path.suffix != PAIRS or not path.is_file():
        return False
    from harness.results.journal import read_sound

    return any(_tag(one) in PARTS for one in read_sound(path).entries)  # whoever draws it tells


def _tag(entry: "Entry") -> object:
    """The word that tells kinds of entries apart."""
    return entry.__struct_config__.tag


def _entries(path: Path) -> "tuple[Entry, ...]":
    """What a file of `bench ab` or `bench tune` holds; lines that are damaged are told.

    Raises:
        ResultFormatError: its first line is damaged, which says what the others are of.
    """
    from harness.results.journal import read_sound

    sound = read_sound(path)
    if not sound.entries or _tag(sound.entries[0]) not in (AB, TUNE):
        problem = next(iter(sound.damaged), f"{path} does not begin with what its lines are of")
        raise ResultFormatError(problem, fix="keep the file, and measure anew")
    for line in () if sound.is_mended else sound.damaged:
        tell(f"{line}; it is left out, and the same command with --resume measures it again")
    return sound.entries


def read_pairs(path: Path, what: str) -> "tuple[Entry, ...]":
    """Return the entries of a file of `bench ab`.

    Args:
        path: of it.
        what: is asked of it, which a file of `bench tune` does not answer.

    Raises:
        UsageError: it is one of `bench tune`.
        ResultFormatError: its first line is damaged.
    """
    entries = _entries(path)
    if _tag(entries[0]) != AB:
        raise UsageError(
            f"{path} is a search of `bench tune`, which {what} does not take",
            fix=f"bench report {path}",
        )
    return entries


def show_pairs(path: Path, style: str, plot: bool = False) -> None:
    """Print what the pairs of a file of `bench ab` say, or what `bench tune` found.

    Args:
        path: of it.
        style: that it is drawn in.
        plot: draw points with their intervals as well; a search has none.

    Raises:
        UsageError: a format that pairs cannot be drawn in.
        ResultFormatError: fewer than two pairs, or a damaged first line.
    """
    from harness.analysis.gate import Inconclusive
    from harness.cli.compare_draw import draw_comparison
    from harness.report.ab import closing, compare_pairs

    if style not in (*AB_FORMATS, WIDE_TABLE):
        raise UsageError(
            f"pairs of `bench ab` are no results document, which {style} is made of",
            fix=f"--format with one of {', '.join(AB_FORMATS)}",
        )
    entries = _entries(path)
    if _tag(entries[0]) == TUNE:
        from harness.report.tuned import draw_tuned
        from harness.runner.tuning.standings import read_tuned

        if plot:
            raise UsageError("a search of `bench tune` has no bars", fix=f"bench report {path}")
        if style not in (*FORMATS, WIDE_TABLE):
            raise UsageError(
                f"a search of `bench tune` cannot be drawn as {style}",
                fix=f"--format with one of {', '.join(FORMATS)}",
            )
        show(draw_tuned(read_tuned(entries), style))
        return
    found = compare_pairs(entries)
    draw_comparison(found, (), Inconclusive.WARN, ((), ()), style, closing(found), plot=plot)
