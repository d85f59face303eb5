"""`bench verify`: are stored files as they were written?"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import RESULTS
from harness.cli.options import FORMATS, format_option
from harness.cli.output import show
from harness.cli.results_files import results_path
from harness.core.errors import EXIT_GATE, EXIT_OK, EXIT_STORAGE, UsageError
from harness.results.document import is_document
from harness.results.journal import PAIRS_PREFIX, SUFFIX, TUNE_PREFIX

if TYPE_CHECKING:
    from harness.results.verify import Verified


@click.command("verify", epilog="Example:  bench verify results")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=RESULTS)
@click.option(
    "--allowed-signers",
    "allowed",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="Documents must be signed by one of these; a file as ssh-keygen(1) describes it.",
)
@format_option(FORMATS)
def command(files: tuple[str, ...], allowed: Path | None, style: str) -> int:
    """Hold stored FILEs, or all of a folder, against the checks that were written with them.

    A results document has a checksum of what it says; one of an older version has none, and is
    read all the same. Journals, and what `bench ab` and `bench tune` write, have a check in every
    line: a damaged one is named. Ends with 5 where a file is damaged or cannot be read.

    A signature beside a document (bench sign) is held against what it says: a document that was
    changed after it was signed, and a signature that is none, end with 5 too. With
    --allowed-signers a document that none of them signed ends with 1.
    """
    from harness.report.verify_table import draw_verified
    from harness.results.verify import verify_file

    if allowed is not None:
        check_allowed(allowed)
    found = [verify_file(path, allowed) for name in files for path in stored_files(name)]
    show(draw_verified(found, style))
    return max(map(_exit_code, found), default=EXIT_OK)


def check_allowed(file: Path) -> None:
    """Refuse a file of allowed signers that is none.

    Raises:
        UsageError: it is no file.
    """
    if not file.is_file():
        raise UsageError(
            f"--allowed-signers {file} is no file",
            fix="one with a line for each: echo NAME@HOST $(cat KEY.pub) >> FILE",
        )


def _exit_code(one: "Verified") -> int:
    """What a file alone would end with."""
    from harness.results.signature import BROKEN, SignatureState
    from harness.results.verify import State

    signed = one.signature.state if one.signature else None
    if one.state == State.DAMAGED or signed in BROKEN:
        return EXIT_STORAGE
    refused = (SignatureState.UNSIGNED, SignatureState.NOT_ALLOWED)
    return EXIT_GATE if signed in refused else EXIT_OK


def stored_files(name: str) -> Iterator[Path]:
    """Yield the file that a word means, or everything in a folder that is, or may have been, ours.

    Raises:
        UsageError: a folder without any.
    """
    path = results_path(name)
    if not path.is_dir():
        yield path
        return
    documents = [one for one in path.glob("*.json") if one.is_file() and is_document(one)]
    patterns = (f"*{SUFFIX}", f"{PAIRS_PREFIX}*.jsonl", f"{TUNE_PREFIX}*.jsonl")
    lines = [one for pattern in patterns for one in path.glob(pattern)]
    if not documents and not lines:
        raise UsageError(
            f"{name} holds no results file", fix="a file that `bench run` wrote, or its folder"
        )
    yield from sorted({*documents, *lines})
