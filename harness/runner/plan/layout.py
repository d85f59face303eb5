"""The session groups of a plan: the product of its lists, or of those of its parts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path

from harness.builder.quantize.levels import QuantLevel, Variant, find_levels
from harness.core.errors import DeviceError, UsageError
from harness.devices.choose import DeviceRequest, Prober, choose_devices
from harness.devices.device import Device
from harness.devices.probe import probe_device
from harness.engine.exported.geometry import DECODERS
from harness.engine.workload import Kind, Workload
from harness.models.exported.source import ExportedSource
from harness.models.weights.source import ModelSource, hub_origin
from harness.runner.plan.checks import (
    check_context,
    check_distinct,
    check_fit,
    check_judging,
    check_numbers,
    plan_threads,
)
from harness.runner.plan.exported import cache_of, exported_tests, levels_asked
from harness.runner.plan.group import SessionGroup
from harness.runner.plan.levels import (
    check_static,
    check_variants,
    levels_of,
    levels_on,
    stored_of,
)
from harness.runner.plan.runtimes import check_runtimes
from harness.runner.plan.shapes import shapes_for
from harness.runner.plan.sources import AnySource, find_source, is_encoder
from harness.runner.settings import PART_KEYS, Settings

USUAL_ENCODES = ((128, 1), (128, 8))  # (tokens, texts): one query, and a batch of passages


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run does, decided before it begins."""

    settings: Settings
    groups: tuple[SessionGroup, ...]

    @property
    def cell_count(self) -> int:
        """How many records the run will hold."""
        return sum(len(group.workloads) for group in self.groups)

    def to_json(self) -> dict[str, object]:
        """The settings as they go into the results document; paths as their last component."""
        names = {group.source.argument: group.source.name for group in self.groups}
        table = _settings_json(self.settings, names) | self._fetched()
        del table["quant_asked"]  # how it was asked for decides nothing once levels are spelled
        for key in ("text", "reference"):  # a path as its last component
            table[key] = table[key] and Path(str(table[key])).name
        if self.settings.part:  # the lists above the parts are no cells
            table["part"] = [
                {key: _settings_json(part, names)[key] for key in PART_KEYS}
                for part in self.settings.part
            ]
            return {key: value for key, value in table.items() if key not in PART_KEYS}
        del table["part"]
        return table

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
    find = partial(find_source, folder=folder)
    names = dict.fromkeys(name for part in settings.parts for name in part.model)
    named = [find(name) for name in names]
    check_distinct(named)
    for part in settings.parts:
        check_fit(part, [find(name) for name in part.model])
    check_judging(settings, named)
    groups: dict[str, SessionGroup] = {}
    probe_once = cache(probe)
    spelled = []
    for part in settings.parts:
        sources = [find(name) for name in part.model]
        devices = _devices(part, sources, usable_threads, probe_once)
        spelled.append(_spelled(part, sources, devices))
        for group in _groups(part, sources, devices, usable_threads):
            known = groups.setdefault(group.key, group)
            workloads = dict.fromkeys((*known.workloads, *group.workloads))
            groups[group.key] = replace(known, workloads=tuple(workloads))
    _refuse_without_device([group.device for group in groups.values()])
    return Plan(_whole(settings, spelled), _with_shapes(groups.values()))


def _with_shapes(groups: Iterable[SessionGroup]) -> tuple[SessionGroup, ...]:
    """Give static models their shapes: one build of a model and level serves all its groups."""
    tests: dict[tuple[str, QuantLevel], list[Workload]] = {}
    for group in groups:
        tests.setdefault((group.source.argument, group.level), []).extend(group.workloads)
    return tuple(
        replace(group, shapes=shapes_for(group.source, tests[group.source.argument, group.level]))
        if group.level.variant is Variant.STATIC and isinstance(group.source, ModelSource)
        else group
        for group in groups
    )


def _refuse_without_device(devices: list[Device]) -> None:
    """Stop before anything is built where no row could be measured at all."""
    refusals = [device.refusal for device in devices if device.refusal is not None]
    if refusals and len(refusals) == len(devices):
        raise DeviceError(*refusals[0])


def _devices(
    settings: Settings, sources: Iterable[AnySource], usable_threads: int, probe: Prober
) -> tuple[Device, ...]:
    """Choose the devices of a plan without parts, or of one part: what is wrong without them first.

    Raises:
        UsageError: a name or number that no device could use.
    """
    check_numbers(settings)
    find_levels(settings.quant)
    plan_threads(settings.threads, usable_threads)
    for source in sources:
        _workloads(settings, source)
    request = DeviceRequest(
        settings.ep, settings.ep_option, settings.allow_simulated, settings.allow_fallback
    )
    return choose_devices(settings.device, request, probe)


def _groups(
    settings: Settings,
    sources: Sequence[AnySource],
    devices: tuple[Device, ...],
    usable_threads: int,
) -> Iterator[SessionGroup]:
    """Yield the full product of the lists of a plan without parts, or of one part."""
    built = [source for source in sources if isinstance(source, ModelSource)]
    if built:
        yield from _built_groups(settings, built, devices, usable_threads)
    for source in sources:
        if isinstance(source, ExportedSource):
            yield from _exported_groups(settings, source, devices, usable_threads)


def _exported_groups(
    settings: Settings, source: ExportedSource, devices: tuple[Device, ...], usable_threads: int
) -> Iterator[SessionGroup]:
    """Yield the sessions of a model that others exported: at the level of its file."""
    tests = _workloads(settings, source)
    batches = settings.batch if source.model.kind in DECODERS else (1,)
    threads = plan_threads(settings.threads, usable_threads)
    stored = [(each, cache_of(source.model, each)) for each in levels_asked(settings, source.model)]
    check_runtimes(settings, source, devices, stored)
    axes = product(stored, devices, settings.runtime, threads, batches)
    for (level, kept), device, runtime, count, batch in axes:
        group = SessionGroup(source, level, kept, device, count, batch, tests, dims=settings.dim)
        yield replace(group, runtime=runtime)


def _built_groups(
    settings: Settings,
    sources: Sequence[ModelSource],
    devices: tuple[Device, ...],
    usable_threads: int,
) -> Iterator[SessionGroup]:
    """Yield the sessions of models that are built here."""
    levels = levels_of(settings.quant, devices)
    check_variants(levels, devices)
    runs = {device: levels_on(settings.quant, device) for device in devices}
    threads = plan_threads(settings.threads, usable_threads)
    for source in sources:
        batches = (1,) if is_encoder(source) else settings.batch
        stored, tests = stored_of(settings, source, levels), _workloads(settings, source)
        for level in levels:
            check_static(source, level, batches)
            check_context(source, level, tests)
        check_runtimes(settings, source, devices, stored)
        axes = product(stored, devices, settings.runtime, threads, batches)
        for (level, kept), device, runtime, count, batch in axes:
            if level in runs[device]:
                group = SessionGroup(source, level, kept, device, count, batch, tests)
                parts = [(test,) for test in tests] if group.has_one_shape else [tests]
                yield from (replace(group, workloads=part, runtime=runtime) for part in parts)


def _whole(settings: Settings, parts: Sequence[Settings]) -> Settings:
    """Return settings made of parts that are spelled out, or the only part."""
    if not settings.part:
        return parts[0]
    return replace(settings, quality=parts[0].quality, part=tuple(parts))


def _spelled(
    settings: Settings, sources: Iterable[AnySource], devices: Iterable[Device]
) -> Settings:
    """Return settings that name every level, each once, and say what is implied."""
    built = any(isinstance(source, ModelSource) for source in sources)
    levels = [level.name for level in levels_of(settings.quant, devices)] if built else []
    for source in sources:
        if isinstance(source, ExportedSource):
            levels += [level.name for level in levels_asked(settings, source.model)]
    return replace(
        settings,
        quant=tuple(dict.fromkeys(levels)),
        quality=settings.quality or settings.sensitivity or settings.reference is not None,
    )


def _settings_json(settings: Settings, names: dict[str, str]) -> dict[str, object]:
    """Settings as a table; a model that no cell uses keeps only its last component."""
    models = [names.get(argument, Path(argument).name) for argument in settings.model]
    return {**asdict(settings), "model": models}


def _workloads(settings: Settings, source: AnySource) -> tuple[Workload, ...]:
    """Return the tests of a plan that a model can run."""
    if isinstance(source, ExportedSource):
        return exported_tests(settings, source)
    if is_encoder(source):
        encodes = settings.enc or USUAL_ENCODES
        return tuple(Workload(Kind.ENCODE, n, 0, sequences=texts) for n, texts in encodes)
    tests = [
        *(Workload(Kind.PREFILL, n, 0, d) for d in settings.depth for n in settings.prompt),
        *(Workload(Kind.DECODE, 0, n, d) for d in settings.depth for n in settings.gen),
        *(Workload(Kind.REQUEST, prompt, gen) for prompt, gen in settings.pg),
    ]
    if not tests:
        raise UsageError("the plan holds no test", fix="--prompt 128 --gen 32 --pg 128,32")
    return tuple(dict.fromkeys(tests))


def is_ranked(group: SessionGroup) -> bool:
    """Whether groups of matrices can be ranked: a decoder's integers beside a cache of floats."""
    integers = group.level.has_integers and not group.cache.is_integer
    return integers and isinstance(group.source, ModelSource) and not is_encoder(group.source)
