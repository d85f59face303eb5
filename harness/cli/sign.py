"""`bench sign`: put an ssh signature beside stored documents."""

import sys
from pathlib import Path

import click

from harness.cli.completion import RESULTS
from harness.cli.options import FORMATS, format_option
from harness.cli.output import show
from harness.cli.verify import stored_files
from harness.core.errors import EXIT_OK


@click.command("sign", epilog="Example:  bench sign results --key ~/.ssh/id_ed25519")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=RESULTS)
@click.option(
    "--key",
    metavar="KEY",
    type=click.Path(path_type=Path, readable=False),
    required=True,
    help="File of an ssh key; a public one where ssh-agent has the private one.",
)
@format_option(FORMATS)
def command(files: tuple[str, ...], key: Path, style: str) -> int:
    """Sign results documents with an ssh key: FILEs, or all documents of a folder.

    `ssh-keygen -Y sign` does it, and asks for a passphrase where a key has one. The signature is
    of what a document says and lies beside it in FILE.sig; the document stays as it is. Who has
    your public key among their allowed signers checks it: bench verify --allowed-signers.
    """
    from harness.report.verify_table import draw_verified
    from harness.results.signature import sign_documents
    from harness.results.verify import verify_file

    paths = [path for name in files for path in _documents(name)]
    sign_documents(paths, key.expanduser(), asks=_has_terminal())
    show(draw_verified([verify_file(path) for path in paths], style))
    return EXIT_OK


def _documents(name: str) -> list[Path]:
    """The file that a word means, or the documents of a folder; its journals are not signed."""
    found = list(stored_files(name))
    documents = [path for path in found if path.suffix == ".json"]
    return documents or found  # which is refused with its name


def _has_terminal() -> bool:
    """Whether ssh-keygen can ask somebody something."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
