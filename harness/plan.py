"""Settings -> session groups, every name and number checked before anything is built."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

from harness.devices.choose import AUTO, Prober, Wish, choose_devices
from harness.devices.device import Device, split_index
from harness.devices.probe import probe_device
from harness.devices.table import ROWS
from harness.errors import DeviceError, UsageError
from harness.graph.geometry import geometry_of
from harness.quantize.cache import CacheLevel, find_cache, own_cache
from harness.quantize.levels import LADDER, QuantLevel, Variant, find_levels
from harness.settings import PART_KEYS, Settings
from harness.specs.encoder import EncoderSpec
from harness.weights.source import ModelSource, resolve_model
from harness.workload.workload import Kind, Workload

RUNTIME = "ort"
USUAL_ENCODES = ((128, 1), (128, 8))  # (tokens, texts): one query, and a batch of passages


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """What one worker process opens: one session, and the tests that run in it."""

    source: ModelSource
    level: QuantLevel
    cache: CacheLevel
    device: Device
    threads: int
    batch: int
    workloads: tuple[Workload, ...]

    @property
    def key(self) -> str:
        """The identity of the group inside one plan."""
        words = (self.source.argument, self.stored_name, self.device.key, RUNTIME)
        return "/".join((*words, f"t{self.threads}", f"b{self.batch}"))

    @property
    def stored_name(self) -> str:
        """The level, and a cache that is not its own: `int4`, `int4/kv-int8`."""
        if self.cache == own_cache(self.level):
            return self.level.name
        return f"{self.level.name}/kv-{self.cache.name}"

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


def make_plan(settings: Settings, usable_threads: int, probe: Prober = probe_device) -> Plan:
    """Check every name and number of `settings` and lay out the session groups.

    Args:
        settings: what the user asked for.
        usable_threads: physical cores this process may use; the largest thread count allowed.
        probe: proves that a device works; each is asked once, the built-in CPU never.

    Raises:
        UsageError: an unknown name, a number outside its range, a context that is too long.
        DeviceError: none of the devices works. One of several costs its own rows only.
    """
    settings = _spelled(settings)
    names = dict.fromkeys(name for part in settings.parts for name in part.model)
    _check_distinct([resolve_model(name) for name in names])
    for part in settings.parts:
        _check_fit(part)
    _check_judging(settings)
    groups: dict[str, SessionGroup] = {}
    probe_once = cache(probe)
    for part in settings.parts:
        for group in _groups(part, usable_threads, probe_once):
            known = groups.setdefault(group.key, group)
            workloads = dict.fromkeys((*known.workloads, *group.workloads))
            groups[group.key] = replace(known, workloads=tuple(workloads))
    _refuse_without_device([group.device for group in groups.values()])
    return Plan(settings, tuple(groups.values()))


def _refuse_without_device(devices: list[Device]) -> None:
    """Stop before anything is built where no row could be measured at all."""
    refusals = [device.refusal for device in devices if device.refusal is not None]
    if refusals and len(refusals) == len(devices):
        raise DeviceError(*refusals[0])


def _groups(settings: Settings, usable_threads: int, probe: Prober) -> Iterator[SessionGroup]:
    """Yield the full product of the lists of a plan without parts, or of one part."""
    _check_numbers(settings)
    sources = [resolve_model(argument) for argument in settings.model]
    levels = _levels(settings)
    threads = plan_threads(settings.threads, usable_threads)
    tests = {source.argument: _workloads(settings, source) for source in sources}
    for source, level in product(sources, levels):
        _check_context(source, level, tests[source.argument])
    wish = Wish(settings.ep, settings.ep_option, settings.allow_simulated, settings.allow_fallback)
    devices = choose_devices(settings.device, wish, probe)
    for level in levels:
        _check_variant(level, devices)
    for source in sources:
        batches = (1,) if is_encoder(source) else settings.batch
        for (level, cache), device, count, batch in product(
            _stored(settings, source, levels), devices, threads, batches
        ):
            if level.variant in device.row.variants:
                yield SessionGroup(
                    source, level, cache, device, count, batch, tests[source.argument]
                )


def _levels(settings: Settings) -> tuple[QuantLevel, ...]:
    """Return the levels of a plan or part; `ladder` is that of each device."""
    variants = dict.fromkeys(_variant_of(word, settings.ep) for word in settings.device)
    ladders = [find_levels(settings.quant, variant) for variant in variants]
    return tuple(dict.fromkeys(level for ladder in ladders for level in ladder))


def _variant_of(word: str, ep: tuple[str, ...]) -> Variant:
    """Which decoder a device runs, by its word; one that is not known is refused later."""
    name, _ = split_index(word)
    rows = [row for row in ROWS if name in (row.key, row.kind) and (not ep or row.key in ep)]
    return Variant(rows[0].variants[0]) if rows and name != AUTO else Variant.FUSED


def _check_variant(level: QuantLevel, devices: Sequence[Device]) -> None:
    """Refuse a level that none of the devices can run.

    Raises:
        UsageError: with the devices that can.
    """
    if any(level.variant in device.row.variants for device in devices):
        return
    able = [row.key for row in ROWS if level.variant in row.variants]
    own = find_levels([LADDER], Variant(devices[0].row.variants[0]))
    ways = [f"--device {' or '.join(able)}"] if able else []
    ways.append(f"--quant with {', '.join(level.name for level in own)}")
    raise UsageError(
        f"{level.name} is built as a {level.variant} decoder, which"
        f" {' and '.join(device.key for device in devices)} cannot run",
        fix=", or ".join(ways),
    )


def _stored(
    settings: Settings, source: ModelSource, levels: tuple[QuantLevel, ...]
) -> dict[tuple[QuantLevel, CacheLevel], None]:
    """The levels of a model with each cache, each pair once; an encoder has no cache to choose."""
    if is_encoder(source):
        return dict.fromkeys((level, own_cache(level)) for level in levels)
    return dict.fromkeys(
        (level, find_cache(name, level)) for level in levels for name in settings.kv_cache
    )


def _spelled(settings: Settings) -> Settings:
    """Return settings that name every level, each once, and say what is implied."""
    levels = tuple(level.name for level in _levels(settings))
    return replace(
        settings,
        quant=levels,
        quality=settings.quality or settings.sensitivity or settings.reference is not None,
        part=tuple(_spelled(part) for part in settings.part),
    )


def _settings_json(settings: Settings, names: dict[str, str]) -> dict[str, object]:
    """Settings as a table; a model that no cell uses keeps only its last component."""
    models = [names.get(argument, Path(argument).name) for argument in settings.model]
    return {**asdict(settings), "model": models}


def is_encoder(source: ModelSource) -> bool:
    """Whether a model embeds texts instead of continuing them."""
    return isinstance(source.spec, EncoderSpec)


def _check_fit(settings: Settings) -> None:
    """Refuse tests of one kind where every model is of the other kind."""
    encoders = [is_encoder(resolve_model(name)) for name in settings.model]
    named = ", ".join(settings.model)
    if settings.enc and not any(encoders):
        raise UsageError(
            f"enc tests are for encoders; {named} is none",
            fix="--prompt 128 --gen 32 for decoders, or --model all-minilm-l6-v2",
        )
    if settings.enc == () and all(encoders):
        raise UsageError(
            f"prefill, decode and request tests are for decoders; {named} is none",
            fix="--enc 128x1,128x8 for encoders, or --model smollm2-135m",
        )


def _workloads(settings: Settings, source: ModelSource) -> tuple[Workload, ...]:
    """Return the tests of a plan that a model can run."""
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


def _check_numbers(settings: Settings) -> None:
    for flag, values in (
        ("--prompt", settings.prompt),
        ("--gen", settings.gen),
        ("--pg", tuple(value for pair in settings.pg for value in pair)),
        ("--enc", tuple(value for pair in settings.enc or () for value in pair)),
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


def is_ranked(group: SessionGroup) -> bool:
    """Whether groups of matrices can be ranked: a decoder's integers beside a cache of floats."""
    integers = group.level.has_integers and not group.cache.is_integer
    return integers and not is_encoder(group.source)


def _check_judging(settings: Settings) -> None:
    """Refuse --sensitivity and --reference where nothing can answer them."""
    named = [resolve_model(name) for part in settings.parts for name in part.model]
    asked = [
        ("--reference", settings.reference is not None),
        ("--sensitivity", settings.sensitivity),
    ]
    for flag, is_asked in asked:
        if is_asked and all(is_encoder(source) for source in named):
            raise UsageError(
                f"{flag} is about next tokens, and {named[0].name} is an encoder",
                fix=f"leave {flag} out: --quality compares its embeddings",
            )
    if not settings.sensitivity:
        return
    if settings.reference is not None:
        raise UsageError(
            "--sensitivity mixes two levels of the same weights; --reference names others",
            fix="give one of the two",
        )
    if not any(level.has_integers for part in settings.parts for level in find_levels(part.quant)):
        raise UsageError(
            f"--sensitivity: {', '.join(settings.quant)} store floats, and nothing can be ranked",
            fix="a level of integers, such as --quant int8-block, int4 or int2",
        )


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
                fix=f"keep depth + prompt + gen, or the length of a text, at {limit} or below",
            )
