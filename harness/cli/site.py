"""`bench site`: a folder of results as a static site."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import Word
from harness.cli.output import show
from harness.cli.verify import check_allowed
from harness.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from harness.report.site.pages import Make
    from harness.report.site.plan import SitePlan

MAKER, MARKER = "bench site", ".bench-site.json"


@click.command("site", epilog="Example:  bench site results -o site")
@click.argument("folder", metavar="RESULTS_DIR", type=click.Path(path_type=Path, readable=False))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, readable=False),
    required=True,
    help="Folder of the site: new, empty, or one that bench site made.",
)
@click.option("--title", default="Benchmarks", show_default=True, help="Name of the site.")
@click.option(
    "--grade",
    type=Word(("A", "B", "C")),
    default="B",
    show_default=True,
    help="The least trust grade of a row.",
)
@click.option(
    "--allow",
    metavar="RULES",
    default="",
    help="Rules of the policy that need not hold, comma-separated: method, whole, effort, override,"
    " device. The site says so.",
)
@click.option(
    "--allowed-signers",
    "allowed",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="Name the signer of each document; a file as ssh-keygen(1) describes it.",
)
@click.option("--signed-only", is_flag=True, help="Refuse documents without an allowed signer.")
@click.option("--no-documents", is_flag=True, help="Do not copy documents into the site.")
def command(
    folder: Path,
    output: Path,
    title: str,
    grade: str,
    allow: str,
    allowed: Path | None,
    signed_only: bool,
    no_documents: bool,
) -> int:
    """Make a static site of all results below RESULTS_DIR: a page per machine, model, level, cell.

    A row is shown where it meets the policy: grade B or better, standard plan, no override. All
    others are listed with the reason. Links are relative and nothing is fetched from elsewhere,
    so that the site works under any address and from a disk. The same files give the same bytes:
    pages change where results do. Needs pip install 'ondevice-bench[report]'.
    """
    from harness.core.own_folder import check_own, fill_folder
    from harness.report.page.frame import check_extra
    from harness.report.site.built import draw_built
    from harness.report.site.pages import site_files
    from harness.report.site.plan import make_plan
    from harness.report.site.policy import make_policy
    from harness.report.site.reading import read_folder

    words = [word.strip() for word in allow.split(",") if word.strip()]
    policy = make_policy(grade, words, signed_only)
    _check_signers(allowed, signed_only)
    target = _apart(output, folder)
    check_own(target, MARKER, MAKER)
    check_extra()
    read = read_folder(folder, policy, allowed)
    plan = make_plan(read.loaded, read.unread, policy, copies=not no_documents)
    files = site_files(plan, title, _copies(plan, read.places))
    filled = fill_folder(target, files, MARKER, MAKER)
    show(draw_built(plan, filled, str(output)))
    return EXIT_OK


def _check_signers(allowed: Path | None, signed_only: bool) -> None:
    """Refuse a file of signers that is none, and signatures that nobody can be asked about.

    Raises:
        UsageError: either.
    """
    if allowed is not None:
        check_allowed(allowed)
    elif signed_only:
        raise UsageError(
            "--signed-only needs to know who may sign", fix="--allowed-signers FILE beside it"
        )


def _apart(output: Path, folder: Path) -> Path:
    """The folder of the site, whole.

    Raises:
        UsageError: it is the folder of results, lies in it, or holds it.
    """
    site, results = output.resolve(), folder.resolve()
    if site == results or results in site.parents:
        raise UsageError(
            f"-o {output} lies in the results that the site is made of",
            fix="a folder beside it, such as site",
        )
    if site in results.parents:
        raise UsageError(
            f"-o {output} holds the results that the site is made of",
            fix="a folder beside it, such as site",
        )
    return site


def _copies(plan: "SitePlan", places: dict[str, Path]) -> dict[str, "Make"]:
    """What copies documents, and signatures beside them, into the site."""
    from harness.results.signature import SUFFIX, signature_path

    found: dict[str, Make] = {}
    for file, path in plan.copies.items():
        found[path] = places[file].read_bytes
        beside = signature_path(places[file])
        if beside.is_file():
            found[path + SUFFIX] = partial(beside.read_bytes)
    return found
