"""What runs a model: a table of runtimes, each with its worker, its package and its levels.

A runtime holds a level itself, or another of its own that stores a weight likewise: so one plan
asks several runtimes for `int4`, and each row says what was really run.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from harness.builder.quantize.levels import (
    AUTO,
    GGUF_LEVELS,
    LEVELS,
    STATIC_LEVELS,
    CacheLevel,
    QuantLevel,
    Variant,
    find_cache,
    own_cache,
)
from harness.core.errors import DeviceError, UsageError
from harness.devices.device import Device
from harness.engine.workload import Workload
from harness.runner.models.model import Model, Refusal, Stored
from harness.runner.settings import Settings

ORT, GENAI, LLAMA = "ort", "genai", "llama.cpp"
WORKERS = {
    ORT: "harness.engine.worker",
    GENAI: "harness.engine.genai_worker",
    LLAMA: "harness.engine.llamacpp_worker",
}


@dataclass(frozen=True, slots=True)
class Cells:
    """What a runtime is asked to run of one model.

    Attributes:
        model: that is run.
        stored: levels that the runtime holds, each with its caches.
        tests: of each.
    """

    model: Model
    stored: Collection[Stored]
    tests: Sequence[Workload]


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime.

    Attributes:
        name: the word the user types.
        variants: of levels that it runs as they are.
        refuses: what it does not run of a model's cells.
        needs: package that carries it, as it is called where it is installed; empty: always there.
        modules: that have to be importable.
        extra: of this package, which installs them.
        is_own: it runs everything a plan can ask; any other one runs one sequence on the CPU.
    """

    name: str
    variants: tuple[Variant, ...]
    refuses: Callable[[Cells], Iterator[Refusal]] = lambda _cells: iter(())
    needs: str = ""
    modules: tuple[str, ...] = ()
    extra: str = ""
    is_own: bool = False

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'ondevice-bench[{self.extra}]'"

    def holds(self, level: QuantLevel) -> QuantLevel | None:
        """Return the level that is run where this one is asked for; None: it holds none such."""
        if level.variant in self.variants:
            return level
        if Variant.GGUF not in self.variants:
            return None
        return next((row for row in GGUF_LEVELS.values() if level.name in row.stands_for), None)

    def kept(self, settings: Settings, asked: Stored, held: QuantLevel) -> CacheLevel:
        """Return the cache of the level that is run, where that of another was asked for.

        A cache that nobody named is the level's own.

        Raises:
            UsageError: one that it does not take.
        """
        level, kept = asked
        if held is level or held.name == level.name:
            return kept
        is_own = AUTO in settings.kv_cache and kept == own_cache(level)
        return find_cache(AUTO if is_own else kept.name, held)

    def refuse_missing(self) -> None:
        """Refuse a runtime that is not installed.

        Raises:
            DeviceError: with the command.
        """
        if any(find_spec(module) is None for module in self.modules):
            raise DeviceError(f"--runtime {self.name} needs {self.needs}", fix=self.install)


def _genai(cells: Cells) -> Iterator[Refusal]:
    """Yield what onnxruntime-genai does not run."""
    yield from cells.model.genai_refusals([level for level, _ in cells.stored])
    for level, kept in cells.stored:
        if level.variant is Variant.STATIC:
            yield f"static graphs, {level.name}", "--quant fp32,int4"
        if kept.is_integer:
            yield f"a cache of {kept.name}", "--kv-cache auto"


def _llama(cells: Cells) -> Iterator[Refusal]:
    """Yield what llama.cpp does not run."""
    yield from cells.model.llama_refusals(cells.tests)


RUNTIMES: Mapping[str, Runtime] = {
    row.name: row
    for row in (
        Runtime(ORT, (Variant.FUSED, Variant.STATIC), is_own=True),
        Runtime(
            GENAI,
            (Variant.FUSED, Variant.STATIC),
            _genai,
            "onnxruntime-genai",
            ("onnxruntime_genai",),
            "genai",
        ),
        Runtime(
            LLAMA,
            (Variant.GGUF,),
            _llama,
            "llama-cpp-python and gguf",
            ("llama_cpp", "gguf"),
            "llamacpp",
        ),
    )
}


def runtimes_of(settings: Settings, levels: Collection[QuantLevel]) -> tuple[Runtime, ...]:
    """Return the runtimes of a plan, or of one part, for the levels of one model.

    Where nobody names any, levels that the default one does not hold bring in the one that does.

    Args:
        settings: of the plan or part.
        levels: of the model, as asked for.

    Raises:
        UsageError: an unknown runtime, one that holds none of the levels, or a level that none of
            them holds.
    """
    named = [_find_runtime(name) for name in dict.fromkeys(settings.runtime)]
    if "runtime" not in settings.given:
        missing = [level for level in levels if not _held(level, named)]
        added = [row for row in RUNTIMES.values() if any(map(row.holds, missing))]
        useful = [row for row in (*named, *added) if any(map(row.holds, levels))]
        return tuple(dict.fromkeys(useful))
    for level in levels:
        if not _held(level, named):
            _refuse_level(level, named)
    for row in named:
        if not any(map(row.holds, levels)):
            raise UsageError(
                f"--runtime {row.name} holds none of {', '.join(level.name for level in levels)}",
                fix=f"--quant with {_own_levels(row)}",
            )
    return tuple(named)


def _find_runtime(name: str) -> Runtime:
    """Return the runtime the user called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in RUNTIMES:
        raise UsageError(f"no runtime is called {name!r}", fix=f"--runtime {' or '.join(RUNTIMES)}")
    return RUNTIMES[name]


def _held(level: QuantLevel, named: Sequence[Runtime]) -> bool:
    """Whether one of the runtimes holds a level."""
    return any(row.holds(level) for row in named)


def _refuse_level(level: QuantLevel, named: Sequence[Runtime]) -> None:
    """Refuse a level that no runtime of a plan holds.

    Raises:
        UsageError: with the runtimes that do, and the levels of those that were named.
    """
    able = [row.name for row in RUNTIMES.values() if row.holds(level) is not None]
    names = ",".join(row.name for row in named)
    others = "; ".join(f"{row.name} has {_own_levels(row)}" for row in named)
    raise UsageError(
        f"--runtime {names} does not hold {level.name}",
        fix=f"--runtime {able[0]}, or another --quant: {others}",
    )


def _own_levels(row: Runtime) -> str:
    """The levels of a runtime, in words."""
    known = (*LEVELS.values(), *STATIC_LEVELS.values(), *GGUF_LEVELS.values())
    return ", ".join(level.name for level in known if level.variant in row.variants)


def held_by(row: Runtime, settings: Settings, stored: Collection[Stored]) -> tuple[Stored, ...]:
    """Return what a runtime runs of levels and caches as asked for, each once.

    Raises:
        UsageError: a cache that its level does not take.
    """
    found = []
    for asked in stored:
        held = row.holds(asked[0])
        if held is not None:
            found.append((held, row.kept(settings, asked, held)))
    return tuple(dict.fromkeys(found))


def check_runtimes(
    settings: Settings,
    model: Model,
    devices: Sequence[Device],
    tests: Sequence[Workload],
    stored: Collection[Stored],
) -> tuple[Runtime, ...]:
    """Return the runtimes of a model; refuse what would be a row of something else.

    Args:
        settings: of the plan or part.
        model: that is run.
        devices: as chosen.
        tests: of the model.
        stored: its levels, each with its caches.

    Raises:
        UsageError: as runtimes_of, or cells that a runtime does not run here.
        DeviceError: the package of a runtime is not installed.
    """
    found = runtimes_of(settings, list(dict.fromkeys(level for level, _ in stored)))
    for row in found:
        row.refuse_missing()
        cells = Cells(model, held_by(row, settings, stored), tests)
        for problem, fix in _refusals(row, settings, devices, cells):
            raise UsageError(f"--runtime {row.name} does not run {problem}", fix=fix)
    return found


def _refusals(
    row: Runtime, settings: Settings, devices: Sequence[Device], cells: Cells
) -> Iterator[Refusal]:
    """Yield what a runtime does not run of the cells."""
    if row.is_own:
        return
    yield from row.refuses(cells)
    others = [device.key for device in devices if not device.row.is_host]
    yield from ((f"on {key}", "--device cpu") for key in others)
    batches = [count for count in settings.batch if count != 1]
    yield from ((f"{count} sequences at once", "--batch 1") for count in batches)
