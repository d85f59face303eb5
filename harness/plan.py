"""Settings -> session groups, every name and number checked before anything is built."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

from harness.devices.table import DEVICES, Device, find_device
from harness.errors import UsageError
from harness.graph.geometry import geometry_of
from harness.quantize.levels import LADDER, QuantLevel, Variant, find_levels
from harness.settings import PART_KEYS, Settings
from harness.weights.source import ModelSource, resolve_model
from harness.workload.workload import Kind, Workload

RUNTIME = "ort"


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """What one worker process opens: one session, and the tests that run in it."""

    source: ModelSource
    level: QuantLevel
    device: Device
    threads: int
    batch: int
    workloads: tuple[Workload, ...]

    @property
    def key(self) -> str:
        """The identity of the group inside one plan."""
        words = (self.source.argument, self.level.name, self.device.key, RUNTIME)
        return "/".join((*words, f"t{self.threads}", f"b{self.batch}"))

    @property
    def capacity_tokens(self) -> int:
        """Positions of the KV cache that serve every test of the group."""
        return max(workload.context_tokens for workload in self.workloads)


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
        table = _settings_json(self.settings, names)
        if self.settings.text is not None:
            table["text"] = Path(self.settings.text).name
        if self.settings.part:  # the lists above the parts are no cells
            table["part"] = [
                {key: _settings_json(part, names)[key] for key in PART_KEYS}
                for part in self.settings.part
            ]
            return {key: value for key, value in table.items() if key not in PART_KEYS}
        del table["part"]
        return table


def make_plan(settings: Settings, usable_threads: int) -> Plan:
    """Check every name and number of `settings` and lay out the session groups.

    Args:
        settings: what the user asked for.
        usable_threads: physical cores this process may use; the largest thread count allowed.

    Raises:
        UsageError: an unknown name, a number outside its range, a context that is too long.
    """
    settings = _spelled(settings)
    names = dict.fromkeys(name for part in settings.parts for name in part.model)
    _check_distinct([resolve_model(name) for name in names])
    groups: dict[str, SessionGroup] = {}
    for part in settings.parts:
        for group in _groups(part, usable_threads):
            known = groups.setdefault(group.key, group)
            workloads = dict.fromkeys((*known.workloads, *group.workloads))
            groups[group.key] = replace(known, workloads=tuple(workloads))
    return Plan(settings, tuple(groups.values()))


def _groups(settings: Settings, usable_threads: int) -> Iterator[SessionGroup]:
    """Yield the full product of the lists of a plan without parts, or of one part."""
    _check_numbers(settings)
    workloads = _workloads(settings)
    sources = [resolve_model(argument) for argument in settings.model]
    devices = [find_device(name) for name in settings.device]
    levels = _levels(settings)
    for level in levels:
        _check_variant(level, devices)
    threads = plan_threads(settings.threads, usable_threads)
    for source, level in product(sources, levels):
        _check_context(source, level, workloads)
    for source, level, device, count, batch in product(
        sources, levels, devices, threads, settings.batch
    ):
        if level.variant in device.variants:
            yield SessionGroup(source, level, device, count, batch, workloads)


def _levels(settings: Settings) -> tuple[QuantLevel, ...]:
    """Return the levels of a plan or part; `ladder` is that of each device."""
    devices = [find_device(name) for name in settings.device]
    variants = dict.fromkeys(Variant(device.variants[0]) for device in devices)
    ladders = [find_levels(settings.quant, variant) for variant in variants]
    return tuple(dict.fromkeys(level for ladder in ladders for level in ladder))


def _check_variant(level: QuantLevel, devices: list[Device]) -> None:
    """Refuse a level that none of the devices can run.

    Raises:
        UsageError: with the devices that can.
    """
    if any(level.variant in device.variants for device in devices):
        return
    able = [device.key for device in DEVICES if level.variant in device.variants]
    own = find_levels([LADDER], Variant(devices[0].variants[0]))
    ways = [f"--device {' or '.join(able)}"] if able else []
    ways.append(f"--quant with {', '.join(level.name for level in own)}")
    raise UsageError(
        f"{level.name} is built as a {level.variant} decoder, which"
        f" {' and '.join(device.key for device in devices)} cannot run",
        fix=", or ".join(ways),
    )


def _spelled(settings: Settings) -> Settings:
    """Return settings that name every level, and each once: what a results document keeps."""
    levels = tuple(level.name for level in _levels(settings))
    return replace(settings, quant=levels, part=tuple(_spelled(part) for part in settings.part))


def _settings_json(settings: Settings, names: dict[str, str]) -> dict[str, object]:
    """Settings as a table; a model that no cell uses keeps only its last component."""
    models = [names.get(argument, Path(argument).name) for argument in settings.model]
    return {**asdict(settings), "model": models}


def _workloads(settings: Settings) -> tuple[Workload, ...]:
    tests = [
        *(Workload(Kind.PREFILL, n, 0, d) for d in settings.depth for n in settings.prompt),
        *(Workload(Kind.DECODE, 0, n, d) for d in settings.depth for n in settings.gen),
        *(Workload(Kind.REQUEST, prompt, gen) for prompt, gen in settings.pg),
    ]
    if not tests:
        raise UsageError("the plan holds no test", fix="--prompt 128 --gen 32 --pg 128,32")
    return tuple(dict.fromkeys(tests))


def _check_numbers(settings: Settings) -> None:
    for flag, values in (
        ("--prompt", settings.prompt),
        ("--gen", settings.gen),
        ("--pg", tuple(value for pair in settings.pg for value in pair)),
        ("--batch", settings.batch),
        ("--rounds", (settings.rounds,)),
        ("min_passes", (settings.min_passes,)),
    ):
        if any(value < 1 for value in values):
            raise UsageError(f"{flag} {min(values)} is below 1", fix=f"{flag} 1 or more")
    if settings.seed < 0:
        raise UsageError(f"--seed {settings.seed} is below 0", fix="--seed 0 or more")
    for flag, seconds in (
        ("--budget", settings.budget if settings.budget is not None else 1.0),
        ("timeout", settings.timeout),
        ("warm_seconds", settings.warm_seconds),
        ("sample_seconds", settings.sample_seconds),
    ):
        if not (math.isfinite(seconds) and seconds > 0):
            raise UsageError(f"{flag} {seconds} is not a time", fix=f"{flag} with seconds above 0")


def _check_distinct(sources: list[ModelSource]) -> None:
    """Refuse a folder given in two ways: its two sets of records would share one row."""
    seen: dict[Path, str] = {}
    for source in sources:
        if source.folder is None:
            continue
        folder = source.folder.resolve()
        if folder in seen:
            raise UsageError(
                f"--model {seen[folder]!r} and {source.argument!r} are the same folder",
                fix="name each model once",
            )
        seen[folder] = source.argument


def plan_threads(words: tuple[str, ...], usable: int) -> tuple[int, ...]:
    """Return counts of intra-op threads, each once; `all` is every usable core.

    Raises:
        UsageError: a word that is no count from 1 to `usable`, nor `all`.
    """
    counts = []
    for word in words:
        if word == "all":
            counts.append(usable)
            continue
        if not word.isdecimal() or not 1 <= int(word) <= usable:
            raise UsageError(
                f"--threads {word} cannot be used: this process has {usable} usable cores",
                fix=f"--threads with numbers from 1 to {usable}, or all",
            )
        counts.append(int(word))
    return tuple(dict.fromkeys(counts))


def _check_context(source: ModelSource, level: QuantLevel, workloads: tuple[Workload, ...]) -> None:
    limit = geometry_of(source.spec, level).max_context_tokens
    for workload in workloads:
        if workload.context_tokens > limit:
            raise UsageError(
                f"{workload.name} needs {workload.context_tokens} tokens of context; "
                f"{source.name} is built for {limit}",
                fix=f"keep depth + prompt + gen at {limit} or below",
            )
