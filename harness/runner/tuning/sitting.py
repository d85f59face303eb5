"""The file of a search: begun, gone on with, and filled heat by heat."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from harness.core.errors import UsageError
from harness.core.findings import Progress
from harness.results.entries import Entry, HeatEntry, TuneEndEntry, TuneEntry
from harness.results.environment import MachineFacts
from harness.results.journal import TUNE_PREFIX, Journal, prepare_results_folder, sound_journals
from harness.runner.loop.run import new_run_id
from harness.runner.tuning.heats import Turns, measure_heat
from harness.runner.tuning.search import CONFIRMATION, LEAST_PAIRS, MOST_PAIRS, Search, Wanted
from harness.runner.tuning.space import Where, changes

# What may differ between two sittings of one search.
MOMENTARY = ("on_battery", "governor", "turbo", "unknown", "container_memory_bytes", "memory_bytes")


def digest_of(*parts: object) -> str:
    """A digest of what decides what is measured; of a machine without what changes by itself."""
    plain = [
        {name: value for name, value in msgspec.to_builtins(part).items() if name not in MOMENTARY}
        if isinstance(part, MachineFacts)
        else msgspec.to_builtins(part)
        for part in parts
    ]
    return blake2b(msgspec.json.encode(plain), digest_size=16).hexdigest()


def opened_file(header: TuneEntry, results: Path, resume: bool) -> tuple[Path, list[HeatEntry]]:
    """Return the file of a search, and the heats that it holds already.

    Args:
        header: what is asked for.
        results: folder of the file.
        resume: go on with the newest search of the same that has no end.

    Raises:
        UsageError: there is none to go on with.
        StorageError: the folder cannot be written.
    """
    prepare_results_folder(results)
    if not resume:
        return results / f"{TUNE_PREFIX}{new_run_id().removeprefix('run-')}.jsonl", []
    for path, entries in sound_journals(results, TUNE_PREFIX):
        first = entries[0]
        ended = any(isinstance(one, TuneEndEntry) for one in entries)
        if isinstance(first, TuneEntry) and first.digest == header.digest and not ended:
            return path, [one for one in entries if isinstance(one, HeatEntry)]
    raise UsageError(
        f"{results} holds no unfinished search of the same model, test, settings and versions",
        fix="leave --resume out, or give the --results of that one",
    )


def measured(
    turns: Turns,
    header: TuneEntry,
    path: Path,
    known: Sequence[HeatEntry],
    where: Where,
    most_together: int,
    takes_busy: bool,
    progress: Progress,
) -> list[Entry]:
    """Search and confirm; every heat is on disk before the next one begins.

    Args:
        turns: how heats are measured.
        header: what opens the file.
        path: the file.
        known: heats of an earlier sitting, which are taken instead of measured again.
        where: what decides which settings there are.
        most_together: sessions that may be open at once.
        takes_busy: what is found beside other programs counts too.
        progress: told before each heat.

    Returns:
        The entries of the file, without an end where it was interrupted.

    Raises:
        WorkerError: the default failed, died, hung or ran out of memory.
    """
    stored = list(known)
    with Journal(path) as journal:
        if not stored:
            journal.append(header)

        def measure(wanted: Wanted) -> HeatEntry:
            if stored and _is(stored[0], wanted):
                return stored.pop(0)
            stored.clear()
            is_late = search.spent_s >= header.budget_s
            progress(_words(wanted, is_late=is_late), int(search.spent_s), int(header.budget_s))
            heat = measure_heat(turns, wanted)
            journal.append(heat)
            return heat

        search = Search(turns.metric, header.budget_s, most_together, measure, takes_busy)
        try:
            chosen = search.best(header.default, lambda now: list(changes(where, now)))
            end = search.confirmed(header.default, chosen)
        except KeyboardInterrupt:
            return [header, *search.heats]
        journal.append(end)
    return [header, *search.heats, end]


def _is(heat: HeatEntry, wanted: Wanted) -> bool:
    """Whether a stored heat is the one that is asked for."""
    return (heat.stage, heat.rung, heat.settings) == (wanted.stage, wanted.rung, wanted.settings)


def _words(wanted: Wanted, *, is_late: bool) -> str:
    """What is measured next; beyond the budget only what is measured in any case."""
    if wanted.stage == CONFIRMATION:
        pair = f"confirming: pair {wanted.rung + 1} of"
        return f"{pair} {LEAST_PAIRS} at least" if is_late else f"{pair} {MOST_PAIRS} at most"
    return f"{len(wanted.settings)} settings, {wanted.turns} turns each"
