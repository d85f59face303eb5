"""`bench cache`: what lies in the cache of built models, and what of it is removed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import cache_names, words
from harness.cli.options import FORMATS, Word, format_option
from harness.cli.output import show, tell
from harness.core.errors import EXIT_OK, EXIT_STORAGE, StorageError, UsageError, suggestion
from harness.core.ranges import parse_age

if TYPE_CHECKING:
    from harness.store.inventory import CacheEntry

LIST, PRUNE = ACTIONS = ("list", "prune")
S_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Which:
    """What is removed: folders that are all of it.

    Attributes:
        older_s: not used for so long; None: whenever.
        larger_bytes: larger than that; None: of any size.
        keep: names, their beginnings, or patterns that stay.
    """

    older_s: float | None
    larger_bytes: int | None
    keep: tuple[str, ...]

    def takes(self, entry: "CacheEntry", now_s: float) -> bool:
        """Whether a folder is one of them."""
        is_old = self.older_s is None or now_s - entry.used_s >= self.older_s
        is_large = self.larger_bytes is None or entry.size_bytes > self.larger_bytes
        return is_old and is_large and not any(is_called(entry.name, word) for word in self.keep)


@click.command("cache", epilog="Example:  bench cache prune --older 30d --keep smollm2-135m")
@click.argument("action", type=Word(ACTIONS), default=LIST)
@click.option("--older", metavar="TIME", help="Only what was not used for this long: 12h, 30d, 4w.")
@click.option("--larger", metavar="SIZE", help="Only what is larger than this: 500MB, 5GB.")
@click.option(
    "--keep",
    metavar="NAME",
    multiple=True,
    shell_complete=words(cache_names),
    help="Stays: a name, its beginning or a pattern. May be given again.",
)
@click.option("--all", "takes_all", is_flag=True, help="Everything but what --keep names.")
@click.option("--yes", "is_meant", is_flag=True, help="Remove; without it prune only tells.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, readable=False),
    help="Folder of built models.  [default: usual one]",
)
@format_option(FORMATS)
def command(
    action: str,
    older: str | None,
    larger: str | None,
    keep: tuple[str, ...],
    takes_all: bool,
    is_meant: bool,
    cache: Path | None,
    style: str,
) -> int:
    """List what lies in the cache, or prune it: built models, models of the hub, what they became.

    prune tells what it would remove; with --yes it does. Several conditions must all hold. What is
    being built stays, and so does everything that this program did not make. Do not prune while a
    run measures: its next process would not find its model. What is missing is built again.
    """
    given = [name for name, value in (("--older", older), ("--larger", larger)) if value]
    given += ["--keep"] * bool(keep) + ["--all"] * takes_all + ["--yes"] * is_meant
    if action == LIST:
        if given:
            raise UsageError(
                f"{given[0]} says what prune removes, and nothing is removed by a list",
                fix=f"bench cache prune {given[0]}, or leave it out",
            )
        return _list(_place(cache), style)
    if takes_all and (older or larger):
        raise UsageError(
            f"--all is everything, and {given[0]} is a part",
            fix="one of them, or --keep with --all",
        )
    if not (older or larger or takes_all):
        raise UsageError(
            "prune is not told what to remove", fix="--older 30d, --larger 5GB, or --all"
        )
    return _prune(_place(cache), _which(older, larger, keep), is_meant, style)


def is_called(name: str, word: str) -> bool:
    """Whether a word is the name of a folder, its beginning up to a `-` or `/`, or its pattern."""
    begins = name.startswith(word) and name[len(word) : len(word) + 1] in ("", "-", "/")
    return begins or fnmatchcase(name, word)


def _which(older: str | None, larger: str | None, keep: tuple[str, ...]) -> Which:
    """Read what is asked for."""
    from harness.models.catalog.target import parse_bytes

    return Which(
        None if older is None else parse_age(older, "--older"),
        None if larger is None else parse_bytes(larger, "--larger"),
        keep,
    )


def _place(cache: Path | None) -> Path:
    """The folder that is meant.

    Raises:
        UsageError: one that was named is no folder, or the usual one is a file.
    """
    from harness.store.cache import default_cache

    if cache is not None and not cache.is_dir():
        raise UsageError(
            f"--cache {cache} is no folder", fix="the folder that bench run --cache had"
        )
    place = cache or default_cache()
    if place.exists() and not place.is_dir():
        raise UsageError(
            f"the cache {place} is no folder", fix="BENCH_CACHE or --cache with a folder"
        )
    return place


def _list(cache: Path, style: str) -> int:
    """Print every folder."""
    from harness.report.cache_table import draw_cache, held_note
    from harness.store.inventory import freed_bytes, list_cache

    entries = list_cache(cache)
    notes = [held_note(len(entries), freed_bytes(entries), str(cache))]
    if entries:
        notes.append("bench cache prune --older 30d tells what is older; with --yes it goes")
    show(draw_cache(_values(entries), style, notes))
    return EXIT_OK


def _prune(cache: Path, which: Which, is_meant: bool, style: str) -> int:
    """Print what goes, and with `is_meant` remove it."""
    from harness.core.units import size_words
    from harness.report.cache_table import draw_cache
    from harness.report.numbers import counted
    from harness.store import inventory
    from harness.store.inventory import freed_bytes, list_cache

    entries = list_cache(cache)
    _check_kept(entries, which.keep)
    now_s = time.time()
    taken = [entry for entry in entries if which.takes(entry, now_s)]
    going = [entry for entry in taken if not entry.is_busy]
    freed, failed = 0 if is_meant else freed_bytes(going), []
    for entry in going if is_meant else ():
        size = freed_bytes([entry])  # now: what shared a file with it may have gone
        try:
            inventory.remove_entry(entry)
        except StorageError as error:
            failed.append(f"{error.problem}; try: {error.fix}")
        else:
            freed += size
    count = counted(len(going) - len(failed), "folders")
    verb = "removed" if is_meant else "would be removed, add --yes"
    notes = [f"{count} {verb}: {size_words(freed)}" if going else "nothing to remove"]
    busy = [entry.name for entry in taken if entry.is_busy]
    notes += [f"stays, it is being built: {', '.join(busy)}"] * bool(busy)
    show(draw_cache(_values(going), style, [*notes, *failed]))
    for line in failed:
        tell(line)
    return EXIT_STORAGE if failed else EXIT_OK


def _check_kept(entries: "Sequence[CacheEntry]", keep: tuple[str, ...]) -> None:
    """Refuse a word that keeps nothing: a slip of the finger would remove what it meant."""
    names = [entry.name for entry in entries]
    for word in keep:
        if not any(is_called(name, word) for name in names):
            raise UsageError(
                f"--keep {word!r} names nothing in the cache",
                fix=suggestion(word, names) if names else "leave it out",
            )


def _values(entries: "Sequence[CacheEntry]") -> list[dict[str, Any]]:
    """The entries as plain values, with how long ago each was used."""
    from harness.report.cache_table import moment

    now_s = time.time()
    return [
        {
            "name": entry.name,
            "what": entry.what,
            "size_bytes": entry.size_bytes,
            "used_utc": moment(entry.used_s),
            "days": round(max(0.0, now_s - entry.used_s) / S_PER_DAY, 2),
            "state": "being built" if entry.is_busy else "",
        }
        for entry in entries
    ]
