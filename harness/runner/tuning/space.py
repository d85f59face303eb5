"""What `bench tune` varies: a table of settings, with their values and where each says anything.

No row changes what is computed, but the levels that a user names: outputs stay as they are bit by
bit, on the CPU, and every turn is checked for the tokens of the default.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from msgspec import structs

from harness.devices.row import ProviderRow
from harness.devices.session_options import (
    AFFINITIES,
    BLOCK_BASE,
    MEMORY_ARENA,
    MEMORY_PATTERN,
    OPTIONS,
    SPIN_BACKOFF,
    SPIN_TIME,
    SPINNING,
    is_known_here,
)
from harness.results.entries import TuneSetting

SPIN = (SPINNING, SPIN_TIME, SPIN_BACKOFF)
OF_POOL = (*SPIN, AFFINITIES, BLOCK_BASE)  # say nothing where the calling thread is the only one
PINNING_SYSTEMS = ("linux", "win32")
# Provider options that decide how a device works, not what it computes -> values worth a try.
OF_PROVIDERS: dict[str, tuple[str, ...]] = {
    "powerPreference": ("high-performance",),
    "validationMode": ("disabled",),
    "storageBufferCacheMode": ("simple", "bucket"),
    "uniformBufferCacheMode": ("simple", "bucket"),
    "performance_preference": ("high_performance",),
    "arena_extend_strategy": ("kSameAsRequested",),
    "nv_cuda_graph_enable": ("1",),
    "htp_performance_mode": ("burst", "sustained_high_performance"),
    "htp_graph_finalization_optimization_mode": ("3",),
    "qnn_context_priority": ("high",),
    "SpecializationStrategy": ("FastPrediction",),
}


@dataclass(frozen=True, slots=True)
class Where:
    """What decides which settings there are.

    Attributes:
        row: of the device.
        system: as sys.platform says.
        cores: one logical processor of each core that may be used, from 0.
        fast: those of the fastest kind, where there are several kinds; else empty.
        threads: counts that the user named; empty: any up to the number of cores.
        levels: that the user named, in whose place others of them may be taken.
        fixed: names of options that the user gave.
        known: names of session options that this ONNX Runtime has.
    """

    row: ProviderRow
    system: str
    cores: tuple[int, ...]
    fast: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    levels: tuple[str, ...] = ()
    fixed: frozenset[str] = frozenset()
    known: Collection[str] = field(
        default_factory=lambda: [row.name for row in OPTIONS.values() if is_known_here(row)]
    )


Values = Callable[[Where, TuneSetting], Iterator[TuneSetting]]


@dataclass(frozen=True, slots=True)
class Tunable:
    """One row of the table.

    Attributes:
        name: in a word.
        why: what it does, and what decides whether that helps.
        applies: where it says anything, in words.
        values: every other value than that of a setting.
    """

    name: str
    why: str
    applies: str
    values: Values


def _threads(where: Where, now: TuneSetting) -> Iterator[TuneSetting]:
    """Fewer threads than cores: all of the fastest kind, half, one; or those that were named."""
    most = len(where.cores)
    usual = (most, len(where.fast), most - 1, most // 2, most // 4, 1)
    for count in dict.fromkeys(where.threads or usual):
        if 1 <= count <= most and count != now.threads:
            gone = OF_POOL if count == 1 else (AFFINITIES,)
            if where.fixed.isdisjoint(gone):
                yield structs.replace(_without(now, gone), threads=count)


def _waiting(where: Where, now: TuneSetting) -> Iterator[TuneSetting]:
    yield from _each(
        where, now, SPIN,
        (
            ((SPINNING, "0"),),
            ((SPIN_TIME, "100"),),
            ((SPIN_TIME, "1000"), (SPIN_BACKOFF, "8")),
            ((SPIN_BACKOFF, "8"),),
        ),
    )  # fmt: skip


def _blocks(where: Where, now: TuneSetting) -> Iterator[TuneSetting]:
    if not where.row.is_host:
        return
    values = [((BLOCK_BASE, value),) for value in ("4", "2", "8", "16")]
    yield from _each(where, now, (BLOCK_BASE,), values)


def _places(where: Where, now: TuneSetting) -> Iterator[TuneSetting]:
    """A core for each thread, of the fastest kind first; the calling thread goes where it likes."""
    if where.system not in PINNING_SYSTEMS or not where.row.is_host:
        return
    kinds = (where.fast, where.cores) if where.fast else (where.cores,)
    values = [
        ((AFFINITIES, ";".join(str(number + 1) for number in cores[1 : now.threads])),)
        for cores in kinds
        if len(cores) >= now.threads
    ]
    yield from _each(where, now, (AFFINITIES,), values)


def _memory(where: Where, now: TuneSetting) -> Iterator[TuneSetting]:
    for name in (MEMORY_PATTERN, MEMORY_ARENA) if where.row.is_host else ():
        yield from _each(where, now, (name,), [((name, "0"),)], of_pool=False)


def _provider(where: Where, now: TuneSetting) -> Iterator[TuneSetting]:
    """Options of the row, of those above, in the values that it takes."""
    for option in where.row.options:
        for value in OF_PROVIDERS.get(option.name, ()):
            pair = (option.name, value)
            fits = not option.values or value in option.values
            if fits and option.name not in where.fixed and pair not in now.provider_options:
                left = [one for one in now.provider_options if one[0] != option.name]
                yield structs.replace(now, provider_options=tuple(sorted([*left, pair])))


def _levels(where: Where, now: TuneSetting) -> Iterator[TuneSetting]:
    for level in where.levels:
        if level != now.level:
            yield structs.replace(now, level=level)


TABLE: tuple[Tunable, ...] = (
    Tunable(
        "level",
        "how weights are stored: computes something else, so only of those that --levels names",
        "--levels",
        _levels,
    ),
    Tunable(
        "threads",
        "more wait for each other, and share one memory: small models and slow cores want fewer",
        "several cores",
        _threads,
    ),
    Tunable(
        "waiting",
        "threads that spin are there at once, and take time and power from others meanwhile",
        "several threads",
        _waiting,
    ),
    Tunable(
        "blocks",
        "work is dealt out in shrinking blocks: helps where cores are not equally fast",
        "several threads of the CPU",
        _blocks,
    ),
    Tunable(
        "places",
        "a core for each thread of the pool: helps where the system moves them about",
        "several threads of the CPU, Linux or Windows",
        _places,
    ),
    Tunable(
        "memory",
        "how outputs of operators get their memory",
        "the CPU",
        _memory,
    ),
    Tunable(
        "provider",
        "how a device works, not what it computes",
        "GPUs and NPUs whose row has such options",
        _provider,
    ),
)


def changes(where: Where, now: TuneSetting) -> dict[TuneSetting, Tunable]:
    """Every setting that differs from `now` in one row, the first value of each row first.

    What helps most often stands in front: where time is short, the rest is not tried.
    """
    columns = [[(one, row) for one in row.values(where, now)] for row in TABLE]
    found: dict[TuneSetting, Tunable] = {}
    for pairs in zip_longest(*columns):
        for pair in pairs:
            if pair is not None and pair[0] != now:
                found.setdefault(*pair)
    return found


def _each(
    where: Where,
    now: TuneSetting,
    names: Sequence[str],
    values: Sequence[tuple[tuple[str, str], ...]],
    of_pool: bool = True,
) -> Iterator[TuneSetting]:
    """Settings with each of the values in place of what these names have now."""
    if (of_pool and now.threads == 1) or not where.fixed.isdisjoint(names):
        return
    for pairs in values:
        if all(name in where.known for name, _ in pairs):
            options = tuple(sorted((*_without(now, names).session_options, *pairs)))
            if options != now.session_options:
                yield structs.replace(now, session_options=options)


def _without(now: TuneSetting, names: Sequence[str]) -> TuneSetting:
    """A setting without some session options."""
    kept = tuple(pair for pair in now.session_options if pair[0] not in names)
    return structs.replace(now, session_options=kept)
