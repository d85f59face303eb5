"""What runs a model: a table of runtimes, each with its worker, its package and its levels.

A runtime holds a level itself, or another of its own that stores a weight likewise: so one plan
asks several runtimes for `int4`, and each row says what was really run. A server is a row made of
its address: it runs what it has loaded, whatever level is asked for.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from harness.core.addresses import EXAMPLE, is_address, parse_address
from harness.core.errors import DeviceError, UsageError
from harness.devices.device import Device
from harness.engine.workload import Workload
from harness.models.served import is_served
from harness.results.enums import Kind
from harness.results.schema import SERVER
from harness.runner.models.model import Model, Refusal, Stored
from harness.runner.settings import Settings

ORT, GENAI, LLAMA = "ort", "genai", "llama.cpp"
HTTP = "http"  # the provider of a server's rows
SERVER_WORKER = "harness.engine.served_worker"
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
        served: the model that it has loaded, of a server; None: it runs what it is given.
    """

    name: str
    variants: tuple[Variant, ...]
    refuses: Callable[[Cells], Iterator[Refusal]] = lambda _cells: iter(())
    needs: str = ""
    modules: tuple[str, ...] = ()
    extra: str = ""
    is_own: bool = False
    served: Model | None = None

    def runs(self, model: Model) -> Model:
        """Return what it runs where a model is asked for."""
        return self.served or model

    def device(self, device: Device) -> Device:
        """Return where it runs: a server does not say."""
        return device if self.served is None else replace(device, asked=SERVER)

    def threads(self, count: int) -> int:
        """Return with how many threads; 0: a server does not say."""
        return count if self.served is None else 0

    def capacity(self, positions: int) -> int:
        """Return for how many positions its cache is allocated; 0: a server does not say."""
        return positions if self.served is None else 0

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'ondevice-bench[{self.extra}]'"

    def holds(self, level: QuantLevel) -> QuantLevel | None:
        """Return the level that is run where this one is asked for; None: it holds none such."""
        if self.served is not None:
            return self.served.levels()[0]
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


def _served(cells: Cells) -> Iterator[Refusal]:
    """Yield what cannot be asked of a server."""
    for test in cells.tests:
        if test.kind is Kind.PREFILL and test.depth_tokens:
            yield (
                f"{test.name}: a server's cache is its own, so that a prompt begins without one",
                "--depth with --gen alone, or --depth 0",
            )
        if test.chunk_tokens:
            yield f"{test.name}: a server reads a prompt as it likes", "--prefill-chunk 0"


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


def worker_of(runtime: str) -> str:
    """Return the module of commands that the process of a runtime serves."""
    return SERVER_WORKER if is_served(runtime) else WORKERS[runtime]


def provider_of(runtime: str, device: Device) -> str:
    """Return what does the work: the device's provider, or a runtime that has none."""
    return HTTP if is_served(runtime) else LLAMA if runtime == LLAMA else device.provider


def runtimes_of(
    settings: Settings, levels: Collection[QuantLevel], model: Model
) -> tuple[Runtime, ...]:
    """Return the runtimes of a plan, or of one part, for the levels of one model.

    Where nobody names any, levels that the default one does not hold bring in the one that does.

    Args:
        settings: of the plan or part.
        levels: of the model, as asked for.
        model: that is run.

    Raises:
        DeviceError: a server is away.
        UsageError: an unknown runtime, one that holds none of the levels, or a level that none of
            them holds.
    """
    named = [_find_runtime(name, model) for name in dict.fromkeys(settings.runtime)]
    _refuse_twins(named)
    if "runtime" not in settings.given:
        missing = [level for level in levels if not _held(level, named)]
        added = [row for row in RUNTIMES.values() if any(map(row.holds, missing))]
        useful = [row for row in (*named, *added) if any(map(row.holds, levels))]
        return tuple(dict.fromkeys(useful))
    for level in levels:
        if not _held(level, named):
            _refuse_level(level, named, model)
    for row in named:
        if not any(map(row.holds, levels)):
            raise UsageError(
                f"--runtime {row.name} holds none of {', '.join(level.name for level in levels)}",
                fix=f"--quant with {_own_levels(row)}",
            )
    return tuple(named)


def _find_runtime(name: str, model: Model) -> Runtime:
    """Return the runtime the user called `name`, or the server at an address.

    Raises:
        DeviceError: the server is away.
        UsageError: there is none, or the server does not hold the model.
    """
    if is_address(name):
        from harness.runner.models.served import bind

        found = bind(model, parse_address(name))
        assert found.source.server is not None
        return Runtime(found.source.server.label, (), _served, served=found)
    if name not in RUNTIMES:
        raise UsageError(
            f"no runtime is called {name!r}", fix=f"--runtime {' or '.join((*RUNTIMES, EXAMPLE))}"
        )
    return RUNTIMES[name]


def _refuse_twins(named: Sequence[Runtime]) -> None:
    """Refuse two servers that results would call alike: their rows would be one.

    Raises:
        UsageError: see above.
    """
    names = [row.name for row in named]
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        raise UsageError(
            f"two of the servers are called {twin} in results, which name no host",
            fix='bench ab --a "--runtime URL" --b "--runtime OTHER", which compares them in turns',
        )


def _held(level: QuantLevel, named: Sequence[Runtime]) -> bool:
    """Whether one of the runtimes holds a level."""
    return any(row.holds(level) for row in named)


def _refuse_level(level: QuantLevel, named: Sequence[Runtime], model: Model) -> None:
    """Refuse a level that no runtime of a plan holds.

    Raises:
        UsageError: with the runtimes that do, and the levels of those that were named, where the
            model has others.
    """
    able = [row.name for row in RUNTIMES.values() if row.holds(level) is not None]
    names = ",".join(row.name for row in named)
    if model.levels() == (level,):
        raise UsageError(
            f"--runtime {names} does not run {model.source.name}, whose file holds {level.name}",
            fix=f"--runtime {able[0]}",
        )
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
    found = runtimes_of(settings, list(dict.fromkeys(level for level, _ in stored)), model)
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
    asked = settings.quality or settings.sensitivity or settings.tasks is not None
    if row.served is not None and asked:
        yield "texts for --quality: a server shows no logits", "leave --quality out"
    others = [device.key for device in devices if not device.row.is_host]
    yield from ((f"on {key}", "--device cpu") for key in others)
    batches = [count for count in settings.batch if count != 1]
    yield from ((f"{count} sequences at once", "--batch 1") for count in batches)
