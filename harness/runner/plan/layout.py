"""The session groups of a plan: the product of its lists, or of those of its parts.

A group is what one worker process opens.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from harness.builder.graph.static.geometry import AnyShapes, StaticShapes
from harness.builder.quantize.levels import CacheLevel, QuantLevel, find_levels, own_cache
from harness.core.errors import DeviceError
from harness.devices.choose import DeviceRequest, Prober, choose_devices
from harness.devices.device import Device
from harness.devices.probe import probe_device
from harness.devices.session_options import parse_session_options
from harness.engine.exported.geometry import AS_IS, FROZEN
from harness.engine.workload import Workload
from harness.models.exported.model import ExportedSource
from harness.models.gguf.source import GgufSource
from harness.models.served import ServedSource, is_served
from harness.models.weights.source import ModelSource, hub_origin
from harness.results.enums import Prepack
from harness.results.plan import PlanCells, RunPlan
from harness.runner.models import Model, find_model
from harness.runner.plan.checks import (
    check_distinct,
    check_fit,
    check_given,
    check_judging,
    check_numbers,
    check_prepack,
    check_session_options,
    plan_threads,
)
from harness.runner.plan.required import check_required, needs_quality
from harness.runner.plan.runtimes import GENAI, ORT, check_runtimes, provider_of, worker_of
from harness.runner.plan.servers import hidden, is_all_served, served_word, with_names
from harness.runner.settings import PART_KEYS, Settings

PREPACKED = "prepacked"  # in the name of what is stored


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """What one worker process opens: one session, and the tests that run in it."""

    model: Model
    level: QuantLevel
    cache: CacheLevel
    device: Device
    threads: int
    batch: int
    workloads: tuple[Workload, ...]
    shapes: AnyShapes | None = None  # of a static model
    dims: tuple[tuple[str, int], ...] = ()  # free ones of an exported graph
    inputs: tuple[tuple[str, float], ...] = ()  # values that the user gave
    graph_inputs: str = FROZEN  # of weights that are inputs of an exported graph too
    runtime: str = ORT
    prepack: str = Prepack.OFF
    capacity: int = 0  # positions that its cache is allocated for; 0: as its tests need

    @property
    def source(self) -> ModelSource | ExportedSource | GgufSource | ServedSource:
        """Where the model comes from."""
        return self.model.source

    @property
    def key(self) -> str:
        """The identity of the group inside one plan."""
        words: tuple[str, ...] = (
            self.source.argument,
            self.stored_name,
            self.device.key,
            self.runtime,
        )
        count = f"b{self.batch}"
        if self.has_one_shape:
            count = self.workloads[0].test
        if self.prepack == Prepack.PARALLEL:  # another session over the same files
            words = (*words, f"prepack-{self.prepack}")
        room = (f"c{self.capacity}",) if self.capacity else ()
        return "/".join((*words, f"t{self.threads}", count, *room))

    @property
    def has_one_shape(self) -> bool:
        """Whether its session reads texts of one shape alone: a static encoder's."""
        return self.model.has_one_shape(self.level)

    @property
    def built(self) -> ModelSource:
        """The source of a model that is built here; one that others exported is refused."""
        return self.model.built()

    @property
    def worker(self) -> str:
        """The module of commands that its process serves."""
        return worker_of(self.runtime)

    @property
    def takes_windows(self) -> bool:
        """Whether caches of a window's size may be bound: our loop on ONNX Runtime's own kernels.

        Another provider has them with no row to spare, or not at all.
        """
        return self.runtime == ORT and self.device.row.is_host

    @property
    def provider(self) -> str:
        """What does the work: the device's provider, or a runtime that has none."""
        return provider_of(self.runtime, self.device)

    @property
    def stored_name(self) -> str:
        """The level, a cache that is not its own, saved copies: `int4/kv-int8/prepacked`."""
        own = self.cache == own_cache(self.level)
        kept = () if own else (f"kv-{self.cache.name}",)
        saved = (PREPACKED,) if self.is_prepacked else ()
        return "/".join((self.level.name, *kept, *saved))

    @property
    def is_prepacked(self) -> bool:
        """Whether the copies that kernels make of its weights are saved beside its graph."""
        return self.prepack == Prepack.ON

    @property
    def capacity_tokens(self) -> int:
        """Positions of the KV cache: as asked for, else as every test of the group needs."""
        if isinstance(self.shapes, StaticShapes):
            return self.shapes.capacity_tokens
        return self.capacity or max(workload.cache_tokens for workload in self.workloads)

    def bound_tokens(self, workload: Workload) -> int:
        """Positions of the cache where this test is alone: as asked for, else those it needs."""
        return self.capacity or workload.cache_tokens


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run does, decided before it begins."""

    settings: Settings
    groups: tuple[SessionGroup, ...]

    @property
    def cell_count(self) -> int:
        """How many records the run will hold."""
        return sum(len(group.workloads) for group in self.groups)

    def as_asked(self) -> RunPlan:
        """The settings as they go into the results document; paths as their last component."""
        names = {group.source.argument: group.source.name for group in self.groups}
        table = _settings_table(self.settings, names) | self._fetched()
        for key in ("given", "part"):  # how it was asked for decides nothing once laid out
            del table[key]
        for key in ("text", "reference", "tasks"):  # a path as its last component
            table[key] = table[key] and Path(table[key]).name
        if not self.settings.part:
            return RunPlan(**table)
        tables = (_settings_table(part, names) for part in self.settings.part)
        parts = tuple(PlanCells(**{key: part[key] for key in PART_KEYS}) for part in tables)
        without_cells = {key: value for key, value in table.items() if key not in PART_KEYS}
        return RunPlan(**without_cells, part=parts)

    def _fetched(self) -> dict[str, object]:
        """Where models of the hub came from, with their commits: `fetched`; empty without one."""
        origins = {group.source.name: hub_origin(group.source.folder) for group in self.groups}
        found = {name: origin for name, origin in origins.items() if origin is not None}
        return {"fetched": found} if found else {}


def make_plan(
    settings: Settings,
    usable_threads: int,
    probe: Prober = probe_device,
    folder: Path | None = None,
) -> Plan:
    """Check every name and number of `settings` and lay out the session groups.

    Args:
        settings: what the user asked for.
        usable_threads: physical cores this process may use; the largest thread count allowed.
        probe: proves that a device works; each is asked once, the built-in CPU never.
        folder: of built models, for links of exported ones; None: the usual.

    Raises:
        UsageError: an unknown name, a number outside its range, a context that is too long.
        DeviceError: none of the devices works. One of several costs its own rows only.
    """

    def find(part: Settings) -> list[Model]:
        if is_all_served(part):
            return [served_word(word) for word in part.model]
        return [find_model(word, folder).measured() for word in part.model]

    settings = with_names(settings)
    named = list(
        {model.argument: model for part in settings.parts for model in find(part)}.values()
    )
    check_distinct(named)
    for part in settings.parts:
        check_fit(part, find(part))
        check_given(part, find(part))
    check_judging(settings, named)
    groups: dict[str, SessionGroup] = {}
    probe_once = cache(probe)
    spelled = []
    for part in settings.parts:
        models = find(part)
        devices = _devices(part, models, usable_threads, probe_once)
        spelled.append(_spelled(part, models, devices))
        for group in _groups(part, models, devices, usable_threads):
            known = groups.setdefault(group.key, group)
            workloads = dict.fromkeys((*known.workloads, *group.workloads))
            groups[group.key] = replace(known, workloads=tuple(workloads))
    _refuse_without_device([group.device for group in groups.values()])
    check_required(settings, tuple(groups.values()))
    return Plan(_whole(settings, spelled), _with_shapes(groups.values()))


def in_one_session(groups: Sequence[SessionGroup]) -> tuple[SessionGroup, ...]:
    """Groups of which those of one server are one: what takes turns has one session a side.

    In a run each test of a server is a process of its own, so that one that fails costs no other.
    """
    whole: dict[tuple[str, str], SessionGroup] = {}
    for group in groups:
        place = (
            (group.source.argument, group.runtime) if is_served(group.runtime) else (group.key, "")
        )
        known = whole.get(place)
        tests = (*(known.workloads if known else ()), *group.workloads)
        whole[place] = replace(known or group, workloads=tests)
    return tuple(whole.values())


def _with_shapes(groups: Iterable[SessionGroup]) -> tuple[SessionGroup, ...]:
    """Give static models their shapes: one build of a model and level serves all its groups."""
    tests: dict[tuple[str, QuantLevel, int], list[Workload]] = {}
    for group in groups:
        tests.setdefault(_build_of(group), []).extend(group.workloads)
    return tuple(replace(group, shapes=_shapes(group, tests[_build_of(group)])) for group in groups)


def _build_of(group: SessionGroup) -> tuple[str, QuantLevel, int]:
    """What groups share that one static build serves."""
    return group.source.argument, group.level, group.capacity


def _shapes(group: SessionGroup, tests: Sequence[Workload]) -> AnyShapes | None:
    """What a static level is built for: these tests, with a cache as large as was asked for."""
    found = group.model.shapes(group.level, tests)
    return found.for_capacity(group.capacity) if found is not None and group.capacity else found


def _refuse_without_device(devices: list[Device]) -> None:
    """Stop before anything is built where no row could be measured at all."""
    refusals = [device.refusal for device in devices if device.refusal is not None]
    if refusals and len(refusals) == len(devices):
        raise DeviceError(*refusals[0])


def _devices(
    settings: Settings, models: Iterable[Model], usable_threads: int, probe: Prober
) -> tuple[Device, ...]:
    """Choose the devices of a plan without parts, or of one part: what is wrong without them first.

    Raises:
        UsageError: a name or number that no device could use.
    """
    check_numbers(settings)
    find_levels(settings.quant)
    plan_threads(settings.threads, usable_threads)
    for model in models:
        model.tests(settings)
    request = DeviceRequest(
        settings.ep, settings.ep_option, settings.allow_simulated, settings.allow_fallback
    )
    return choose_devices(settings.device, request, probe)


def _groups(
    settings: Settings,
    models: Sequence[Model],
    devices: tuple[Device, ...],
    usable_threads: int,
) -> Iterator[SessionGroup]:
    """Yield the full product of the lists of a plan without parts, or of one part.

    Models that are built here come before exported ones.
    """
    threads = plan_threads(settings.threads, usable_threads)
    options = parse_session_options(settings.session_option)
    for model in sorted(models, key=lambda one: one.is_own_plan):
        tests, stored = model.tests(settings), model.stored(settings, devices)
        rows = check_runtimes(settings, model, devices, tests, stored)
        names = [row.name for row in rows]
        check_prepack(settings, model, devices, stored, names)
        check_session_options(options, threads, names)
        axes = product(
            *(stored, devices, rows, settings.prepack, threads),
            *(model.batches(settings), model.capacities(settings, tests)),
        )
        for asked, device, row, prepack, count, batch, capacity in axes:
            level, run = row.holds(asked[0]), row.runs(model)
            if level is None or not model.runs_on(settings, asked[0], device):
                continue
            parts = [(test,) for test in tests] if run.has_one_shape(level) else [tests]
            for part in parts:
                yield SessionGroup(
                    run,
                    level,
                    row.kept(settings, asked, level),
                    replace(
                        row.device(device),
                        parallel_prepack=prepack != Prepack.OFF,
                        session_options=options,
                    ),
                    row.threads(count),
                    batch,
                    part,
                    dims=run.dims(settings),
                    inputs=run.inputs(settings),
                    graph_inputs=AS_IS if row.name == GENAI else settings.graph_inputs,
                    runtime=row.name,
                    prepack=prepack,
                    capacity=row.capacity(capacity),
                )


def _whole(settings: Settings, parts: Sequence[Settings]) -> Settings:
    """Return settings made of parts that are spelled out, or the only part."""
    if not settings.part:
        return parts[0]
    return replace(settings, quality=parts[0].quality, part=tuple(parts))


def _spelled(settings: Settings, models: Iterable[Model], devices: Sequence[Device]) -> Settings:
    """Return settings that name every level, each once, and say what is implied."""
    ordered = sorted(models, key=lambda one: one.is_own_plan)
    levels = [level.name for model in ordered for level in model.levels_asked(settings, devices)]
    return replace(
        settings,
        quant=tuple(dict.fromkeys(levels)),
        quality=settings.quality
        or settings.sensitivity
        or settings.reference is not None
        or settings.tasks is not None
        or needs_quality(settings),
    )


def _settings_table(settings: Settings, names: dict[str, str]) -> dict[str, Any]:
    """Settings as a table; a model that no cell uses keeps only its last component."""
    models = tuple(names.get(argument, Path(argument).name) for argument in settings.model)
    return {**asdict(settings), "model": models, "runtime": hidden(settings.runtime)}
