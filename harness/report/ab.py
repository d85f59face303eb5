"""A file of `bench ab` as a comparison: how its sides are called, what it says in a sentence."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.analysis.compare import CompareRow, Comparison, Question
from harness.analysis.paired import Ending, compare_turns, lines_of, looks_until
from harness.analysis.paired_required import SideCell, judge_pairs
from harness.core.errors import ResultFormatError
from harness.report.compare_table import effect_range, pairs_note, test_name
from harness.report.numbers import percent, signed_percent
from harness.results.entries import (
    AbEndEntry,
    AbEntry,
    AbProfileEntry,
    AbSide,
    Entry,
    PairEntry,
    ResumedEntry,
)
from harness.results.judged import Judged
from harness.results.requirement import Requirement
from harness.results.schema import Cell

RUNTIME, OURS = "onnxruntime", "ondevice-bench"
# What runs a side -> the packages that it is made of; a server's are on its own machine.
RUNTIME_PACKAGES = {
    "ort": (RUNTIME,),
    "genai": ("onnxruntime-genai", RUNTIME),
    "llama.cpp": ("llama_cpp_python",),
}
AS_SHARED = "as shared"
MOST_PACKAGES = 6  # that differ and are named
MOST_OPERATORS = 6
LEAST_MOVED = 0.005  # of the base's time: less is no news
COMMIT_DIGITS = 9
NAME = re.compile(r"(?P<kind>[a-z]+)(?P<first>\d*)(?:\+(?P<second>\d+))?.*?(?:@ d(?P<depth>\d+))?$")


def compare_pairs(entries: Sequence[Entry], question: Question | None = None) -> Comparison:
    """What a file of pairs says.

    Args:
        entries: of the file, or as they were written to it.
        question: tolerance and correction; None: as it was asked for.

    Raises:
        ResultFormatError: no two pairs are there.
    """
    header = next((one for one in entries if isinstance(one, AbEntry)), None)
    pairs = pairs_of(entries)
    if header is None or len(pairs) < 2:
        raise ResultFormatError(
            f"the file holds {len(pairs)} pairs of `bench ab`, and two give the first interval",
            fix="go on with it: the same `bench ab` with --resume, or a file that holds more",
        )
    ending = ending_of(entries)
    profiles = [one for one in entries if isinstance(one, AbProfileEntry)]
    asked = question or Question(header.tolerance)
    pairs_told = pairs_note(len(pairs), ending, header.precision)
    notes = (shared_note(header), pairs_told, *_lost(pairs, entries))
    lines = lines_of(pairs, cells_of(header))
    looks = looks_until(ending, len(pairs), header.most_pairs)
    found = compare_turns(lines, asked, side_names(header), notes, looks)
    moved = [note for one in profiles for note in moved_operators(one, found.rows)]
    return replace(found, notes=(*found.notes, *moved))


def judged_pairs(
    entries: Sequence[Entry], requirements: Sequence[Requirement]
) -> list[tuple[SideCell, Judged]]:
    """What absolute limits say of both sides of a file of pairs that `compare_pairs` takes.

    Raises:
        UsageError: a limit that pairs do not measure.
    """
    header = next(one for one in entries if isinstance(one, AbEntry))
    pairs = pairs_of(entries)
    looks = looks_until(ending_of(entries), len(pairs), header.most_pairs)
    return judge_pairs(lines_of(pairs, cells_of(header)), requirements, looks)


def pairs_of(entries: Sequence[Entry]) -> list[PairEntry]:
    """The pairs of a file by number; one whose line was damaged was measured after the others."""
    found = {one.pair: one for one in entries if isinstance(one, PairEntry)}
    return [found[number] for number in sorted(found)]


def tolerance_of(entries: Sequence[Entry]) -> float:
    """Within which ratio two sides of a file of pairs are the same, as it was asked for."""
    return next(one.tolerance for one in entries if isinstance(one, AbEntry))


def ending_of(entries: Sequence[Entry]) -> Ending:
    """Why there are no more pairs; a sitting that was killed says nothing.

    Where a pair is missing between others, its line is damaged: then they are not whole.
    """
    pairs, ending = pairs_of(entries), Ending.INTERRUPTED
    for one in entries:
        if isinstance(one, ResumedEntry):
            ending = Ending.INTERRUPTED
        if isinstance(one, AbEndEntry):
            ending = Ending(one.ending)
    return ending if not pairs or pairs[-1].pair == len(pairs) else Ending.INTERRUPTED


def _lost(pairs: Sequence[PairEntry], entries: Sequence[Entry]) -> Iterator[str]:
    """Yield what became of workers that were lost."""
    again = [one for one in pairs if one.lost]
    if again:
        numbers = ", ".join(str(one.pair) for one in again)
        yield f"pairs measured again because a worker was lost: {numbers}: {again[-1].lost[-1]}"
    ends = [one for one in entries if isinstance(one, AbEndEntry)]
    if ends and ends[-1].reason:
        yield f"ended early: {ends[-1].reason}"


def side_names(header: AbEntry) -> tuple[str, str]:
    """What each side is called: its label, its words, and the versions that differ.

    Two of the same words, such as a build beside itself, are told apart as A and B.
    """
    a, b = header.a, header.b
    differing = [
        name
        for name in sorted(a.packages.keys() | b.packages.keys(), key=lambda one: one != RUNTIME)
        if a.packages.get(name) != b.packages.get(name)
    ]
    commit = header.commit if a.other_interpreter or b.other_interpreter else ""
    names = _name(a, differing, b, ""), _name(b, differing, a, commit)
    return (f"A, {names[0]}", f"B, {names[1]}") if names[0] == names[1] else names


def shared_note(header: AbEntry) -> str:
    """What both sides have in common: runtime, package and, where one code is measured, commit."""
    uses = [_runtime_packages(header, place) for place in range(2)]
    same = [
        f"{name} {version}"
        for name in (*(one for one in uses[0] if one in uses[1]), OURS)
        if (version := header.a.packages.get(name)) == header.b.packages.get(name) and version
    ]
    if header.commit and not (header.a.other_interpreter or header.b.other_interpreter):
        same.append(f"commit {header.commit[:COMMIT_DIGITS]}")
    return f"both sides: {', '.join(same) or 'nothing is known of their packages'}"


def _runtime_packages(header: AbEntry, place: int) -> tuple[str, ...]:
    """Packages that run a side, the first (0) or the second (1)."""
    runtimes = dict.fromkeys(cells[place].runtime for cells in cells_of(header).values())
    return tuple(name for one in runtimes for name in RUNTIME_PACKAGES.get(one, ()))


def closing(comparison: Comparison) -> str:
    """One sentence with every difference of speed and its interval."""
    rows = [row for row in comparison.rows if not row.metric.of_start]
    return f"B beside A: {'; '.join(map(_difference, rows))}."


def moved_operators(profile: AbProfileEntry, rows: Sequence[CompareRow]) -> Iterator[str]:
    """Yield which operators a difference comes from.

    An operator's part is its share of the profile, of the side's time of the test; both in parts
    of the time of A.
    """
    reason = profile.a.reason or profile.b.reason
    if reason is not None:
        yield f"operators of {profile.test}: {reason}"
        return
    times = [_time_ratio(row) for row in rows if row.cell.workload == profile.test]
    ratio = times[0] if times else 1.0
    shares = [
        {one.operator: one.share for one in side.operators} for side in (profile.a, profile.b)
    ]
    moved = {
        name: ratio * shares[1].get(name, 0.0) - shares[0].get(name, 0.0)
        for name in {**shares[0], **shares[1]}
    }
    largest = sorted(moved, key=lambda name: -abs(moved[name]))[:MOST_OPERATORS]
    told = [
        f"{name} {signed_percent(moved[name])} ({percent(shares[0].get(name, 0.0))} of A's time, "
        f"{percent(shares[1].get(name, 0.0))} of B's)"
        for name in largest
        if abs(moved[name]) >= LEAST_MOVED
    ]
    yield f"operators of {profile.test} that moved, in A's time: {', '.join(told) or 'none'}"


def _name(side: AbSide, differing: Sequence[str], other: AbSide, commit: str) -> str:
    """One side: `new: SLOWER=1 (onnxruntime 1.32.0)`."""
    versions = [f"{name} {side.packages.get(name, 'absent')}" for name in differing[:MOST_PACKAGES]]
    rest = len(differing) - len(versions)
    versions += [f"and {rest} packages more"] if rest > 0 else []
    if side.python_version != other.python_version:
        versions.append(f"Python {side.python_version}")
    versions += [f"commit {commit[:COMMIT_DIGITS]}"] if commit else []
    words = ", ".join([*([side.words] if side.words else []), *versions])
    if side.label:
        return f"{side.label} ({words})" if words else side.label
    return words or AS_SHARED


def _difference(row: CompareRow) -> str:
    """`tg9 decode_step_tok_s is 4.7% below, 95 % interval -5.5% to -3.9%: SLOWER`."""
    where = f"{test_name(row)} {row.metric.name}"
    apart = row.center - 1
    size = f"{percent(abs(apart))} {'above' if apart > 0 else 'below'}"
    return f"{where} is {size}, 95 % interval {effect_range(row)}: {row.word}"


def _time_ratio(row: CompareRow) -> float:
    """Time of B over time of A."""
    return 1 / row.center if row.metric.more_is_better else row.center


def cells_of(header: AbEntry) -> dict[str, tuple[Cell, Cell]]:
    """The cells of both sides by test; of files that do not hold them, from what they do hold."""
    if header.cells:
        return {a.workload: (a, b) for a, b in header.cells}
    tests = [test for test in header.a.tests if test in header.b.tests]
    return {test: (_cell(header.a, test), _cell(header.b, test)) for test in tests}


def _cell(side: AbSide, test: str) -> Cell:
    """A cell from a side and the name of its test."""
    found = NAME.match(test)
    kind, first, second, depth = found.groups() if found else ("", "", "", "")
    lengths = {"pp": (first, 0), "tg": (0, first), "pg": (first, second)}.get(kind, (first, 0))
    return Cell(
        model=side.model,
        parameters=0,
        level=side.level,
        device=side.device,
        provider="",
        runtime="ort",
        workload=test,
        prompt=int(lengths[0] or 0),
        gen=int(lengths[1] or 0),
        depth=int(depth or 0),
        batch=side.batch,
        threads=side.threads,
        weights="",
        kv_cache=side.kv_cache,
        prepack=side.prepack,
        capacity=side.capacity,
    )
