"""The file of a search: begun, gone on with, and filled heat by heat."""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec

from harness.core.errors import StorageError, UsageError
from harness.core.findings import Progress
from harness.results.elsewhere import keep_elsewhere
from harness.results.entries import Entry, HeatEntry, TuneEndEntry, TuneEntry
from harness.results.environment import MachineFacts
from harness.results.journal import (
    TUNE_PREFIX,
    Journal,
    Sound,
    encode_line,
    prepare_results_folder,
    sound_journals,
)
from harness.runner.loop.run import new_run_id
from harness.runner.tuning.heats import Turns, measure_heat
from harness.runner.tuning.search import CONFIRMATION, LEAST_PAIRS, MOST_PAIRS, Search, Wanted
from harness.runner.tuning.space import Where, changes
from harness.runner.tuning.standings import read_tuned

# What may differ between two sittings of one search.
MOMENTARY = ("on_battery", "governor", "turbo", "unknown", "container_memory_bytes", "memory_bytes")


@dataclass(frozen=True, slots=True)
class Found:
    """What a sitting leaves.

    Attributes:
        entries: of the file, without an end where the search was interrupted.
        lost: what became of the file, and where its entries lie instead; None: they lie there.
    """

    entries: tuple[Entry, ...]
    lost: StorageError | None = None


def digest_of(*parts: object) -> str:
    """A digest of what decides what is measured; of a machine without what changes by itself."""
    plain = [
        {name: value for name, value in msgspec.to_builtins(part).items() if name not in MOMENTARY}
        if isinstance(part, MachineFacts)
        else msgspec.to_builtins(part)
        for part in parts
    ]
    return blake2b(msgspec.json.encode(plain), digest_size=16).hexdigest()


def opened_file(header: TuneEntry, results: Path, resume: bool) -> Sound:
    """Return the file of a search, with what it holds already.

    Args:
        header: what is asked for.
        results: folder of the file.
        resume: go on with the newest search of the same that has no end, or whose lines were
            damaged since.

    Raises:
        UsageError: there is none to go on with.
        StorageError: the folder cannot be written.
    """
    prepare_results_folder(results)
    if not resume:
        return Sound(results / f"{TUNE_PREFIX}{new_run_id().removeprefix('run-')}.jsonl", ())
    for sound in sound_journals(results, TUNE_PREFIX):
        first = next(iter(sound.entries), None)
        if not isinstance(first, TuneEntry) or first.digest != header.digest:
            continue
        if read_tuned(sound.entries).end is None or not sound.is_mended:
            return sound
    raise UsageError(
        f"{results} holds no unfinished search of the same model, test, settings and versions",
        fix="leave --resume out, or give the --results of that one",
    )


def measured(
    turns: Turns,
    header: TuneEntry,
    opened: Sound,
    where: Where,
    most_together: int,
    takes_busy: bool,
    progress: Progress,
) -> Found:
    """Search and confirm; every heat is on disk before the next one begins.

    Args:
        turns: how heats are measured.
        header: what opens the file.
        opened: the file, and heats of earlier sittings, which are taken instead of measured again.
        where: what decides which settings there are.
        most_together: sessions that may be open at once.
        takes_busy: what is found beside other programs counts too.
        progress: told before each heat.

    Returns:
        The entries of the file; kept elsewhere where it was lost.

    Raises:
        WorkerError: the default failed, died, hung or ran out of memory.
        StorageError: the file was lost before the first heat.
    """
    lost: StorageError | None = None
    with Journal(opened.path) as journal:
        file = _File(journal, header, opened)

        def measure(wanted: Wanted) -> HeatEntry:
            known = file.taken(wanted)
            if known is not None:
                return known
            is_late = search.spent_s >= header.budget_s
            progress(_words(wanted, is_late=is_late), int(search.spent_s), int(header.budget_s))
            heat = measure_heat(turns, wanted)
            file.add(heat)
            return heat

        search = Search(turns.metric, header.budget_s, most_together, measure, takes_busy)
        try:
            file.begin()
            chosen = search.best(header.default, lambda now: list(changes(where, now)))
            file.add(search.confirmed(header.default, chosen))
        except KeyboardInterrupt:
            pass
        except StorageError as error:
            lost = error
    return _found(file.entries, opened.path, lost)


class _File:
    """The file of a search, whose last part holds the heats of it in their order.

    A part begins with a header. Where the search leaves what the last part holds, because a line of
    it is damaged or the machine has room for other heats, another part begins: the heats so far,
    then, of all that other parts hold, those that are asked for.

    Attributes:
        entries: of the part that is being filled.
    """

    def __init__(self, journal: Journal, header: TuneEntry, opened: Sound) -> None:
        """Begin with what it holds; a new one holds nothing."""
        self.entries: list[Entry] = [header]
        self._journal = journal
        self._others = [one for one in opened.entries if isinstance(one, HeatEntry)]
        self._ahead: list[HeatEntry] = []  # of the last part, which are not asked for yet
        self._is_begun = bool(opened.entries) and opened.is_mended
        if self._is_begun:
            self._ahead = list(read_tuned(opened.entries).heats)
            self._others = self._others[: len(self._others) - len(self._ahead)]

    def begin(self) -> None:
        """Write the header of a new file, or of another part for damaged lines."""
        if not self._is_begun:
            self._begin_anew()

    def taken(self, wanted: Wanted) -> HeatEntry | None:
        """Take the heat that is asked for; None: it has to be measured."""
        if self._ahead and _is(self._ahead[0], wanted):
            heat = self._ahead.pop(0)
            self.entries.append(heat)
            return heat
        for place, heat in enumerate((*self._ahead, *self._others)):
            if _is(heat, wanted):
                self._leave_ahead()
                del self._others[place]
                self.add(heat)
                return heat
        return None

    def add(self, entry: HeatEntry | TuneEndEntry) -> None:
        """Keep an entry in memory, then on the disk."""
        self._leave_ahead()
        self.entries.append(entry)  # first: what the disk does not take is not lost
        self._journal.append(entry)

    def _leave_ahead(self) -> None:
        """Begin another part, where the last one holds heats that the search passed by."""
        if self._ahead:
            self._others = [*self._ahead, *self._others]
            self._ahead = []
            self._begin_anew()

    def _begin_anew(self) -> None:
        for entry in self.entries:
            self._journal.append(entry)


def _found(entries: list[Entry], path: Path, lost: StorageError | None) -> Found:
    """What there is, kept elsewhere where the file was lost.

    Raises:
        StorageError: it was lost before the first heat.
    """
    if lost is None:
        return Found(tuple(entries))
    if len(entries) < 2:
        raise lost
    content = b"".join(map(encode_line, entries))
    _, lost = keep_elsewhere(path, lost, lambda other: other.write_bytes(content))
    return Found(tuple(entries), lost)


def _is(heat: HeatEntry, wanted: Wanted) -> bool:
    """Whether a stored heat is the one that is asked for."""
    return (heat.stage, heat.rung, heat.settings) == (wanted.stage, wanted.rung, wanted.settings)


def _words(wanted: Wanted, *, is_late: bool) -> str:
    """What is measured next; beyond the budget only what is measured in any case."""
    if wanted.stage == CONFIRMATION:
        pair = f"confirming: pair {wanted.rung + 1} of"
        return f"{pair} {LEAST_PAIRS} at least" if is_late else f"{pair} {MOST_PAIRS} at most"
    return f"{len(wanted.settings)} settings, {wanted.turns} turns each"
