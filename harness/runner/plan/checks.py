"""What is refused before anything is built: numbers, models and questions that do not fit."""

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from harness.builder.graph.geometry import geometry_of, longest_context
from harness.builder.quantize.levels import QuantLevel, Variant, find_levels
from harness.core.errors import UsageError, suggestion
from harness.devices.device import Device
from harness.devices.row import Pairs
from harness.devices.session_options import FLAG_OPTION, check_places
from harness.engine.workload import Workload
from harness.models.served import is_served
from harness.models.weights.source import ModelSource
from harness.results.enums import Prepack
from harness.runner.models.model import Model, Refusal, Stored
from harness.runner.plan.runtimes import GENAI, LLAMA, ORT
from harness.runner.settings import Settings
from harness.runner.settings.flags import flag as flag_row
from harness.runner.settings.values import EXACT_TOO

# Flags that say what is tested of a model, each of some kinds of models only.
TEST_FLAGS = (
    "prompt",
    "gen",
    "pg",
    "turns",
    "depth",
    "prefill_chunk",
    "like",
    "batch",
    "enc",
    "img",
    "aud",
)
# Flags that say how something is done -> the keys of which one asks for it.
HOW: dict[str, tuple[str, ...]] = {
    "max_rounds": ("precision",),
    "text": ("quality", "sensitivity", "reference"),
}


def check_fit(settings: Settings, models: Sequence[Model]) -> None:
    """Refuse tests of one kind where every model is of the other kind; both are built here."""
    if any(model.is_own_plan for model in models):
        return
    encoders = [model.embeds for model in models]
    named = ", ".join(settings.model)
    asked = ", ".join(flag_row(key).option for key in TEST_FLAGS if key in settings.given)
    whose = f"{asked}: " if asked else ""
    if settings.enc and not any(encoders):
        raise UsageError(
            f"{whose}enc tests are for encoders; {named} is none",
            fix="--prompt 128 --gen 32 for decoders, or --model all-minilm-l6-v2",
        )
    if settings.enc == () and all(encoders):
        raise UsageError(
            f"{whose}prefill, decode and request tests are for decoders; {named} is none",
            fix="--enc 128x1,128x8 for encoders, or --model smollm2-135m",
        )


def check_given(settings: Settings, models: Sequence[Model]) -> None:
    """Refuse a flag that no row would come of, and a name that no model has.

    Raises:
        UsageError: names the flag, and what there is instead.
    """
    named = ", ".join(model.source.name for model in models)
    takes = dict.fromkeys(key for model in models for key in model.takes)
    for key in TEST_FLAGS:
        if key in settings.given and key not in takes and getattr(settings, key):
            ways = " ".join(flag_row(taken).option for taken in takes)
            raise UsageError(
                f"{flag_row(key).option}: {named} has no test of it",
                fix=f"leave it out; its flags: {ways}" if ways else "leave it out",
            )
    _check_used(settings, models, named)
    names = {"dim": "free_dimensions", "input": "input_names"}
    for key, there in names.items():
        known = dict.fromkeys(name for model in models for name in getattr(model, there))
        lost = [name for name, _ in getattr(settings, key) if name not in known]
        if lost:
            what = "free dimension" if key == "dim" else "input"
            raise UsageError(
                f"{flag_row(key).option} {lost[0]}: no {what} of {named} is called so",
                fix=suggestion(lost[0], known) if known else f"leave {flag_row(key).option} out",
            )


def _check_used(settings: Settings, models: Sequence[Model], named: str) -> None:
    """Refuse a given flag that goes with another one, or with another kind of test or model."""
    for key, ends in HOW.items():
        if key in settings.given and not any(getattr(settings, end) for end in ends):
            flag, other = flag_row(key).option, flag_row(ends[0])
            raise UsageError(
                f"{flag} says nothing without {other.option}",
                fix=f"give {f'{other.option} {other.example}'.strip()} too, or leave {flag} out",
            )
    if (
        "depth" in settings.given
        and any(settings.depth)
        and not (settings.prompt or settings.gen or settings.turns)
    ):
        raise UsageError(
            "--depth is of prefill and decode tests, and neither is asked for: a request begins"
            " with an empty cache",
            fix="--prompt 128 --gen 32 with it, or leave --depth out",
        )
    chats = (max(depth for depth in settings.depth) + t * (p + g) - g for t, p, g in settings.turns)
    longest = max((*settings.prompt, *(prompt for prompt, _ in settings.pg), *chats), default=0)
    least = min((chunk for chunk in settings.prefill_chunk if chunk), default=0)
    if "prefill_chunk" in settings.given and least and least >= longest:
        raise UsageError(
            f"--prefill-chunk {least}: no test has a longer prompt to be read in chunks",
            fix=f"--prompt {2 * least} with it, or leave --prefill-chunk out",
        )
    exact = settings.activations == EXACT_TOO and "activations" in settings.given
    if exact and all(model.is_own_plan for model in models):
        raise UsageError(
            f"--activations exact is of levels that are built here, and {named} is exported",
            fix="leave --activations out, or give the folder of its weights",
        )
    if "graph_inputs" in settings.given and not any(model.input_weights for model in models):
        raise UsageError(
            f"--graph-inputs {settings.graph_inputs}: no weight of {named} is an input too",
            fix="leave --graph-inputs out",
        )
    _check_cache(settings, models, named)


def _check_cache(settings: Settings, models: Sequence[Model], named: str) -> None:
    """Refuse what is said of a cache where nothing keeps one."""
    if "capacity" in settings.given and not any("depth" in model.takes for model in models):
        raise UsageError(
            f"--capacity {','.join(settings.capacity)}: {named} keeps no cache",
            fix="leave --capacity out",
        )
    built = [model for model in models if not model.is_own_plan]
    if "kv_cache" in settings.given and built == [*models] and all(m.embeds for m in built):
        raise UsageError(
            f"--kv-cache {','.join(settings.kv_cache)}: {named} keeps no cache",
            fix="leave --kv-cache out",
        )


def check_numbers(settings: Settings) -> None:
    """Refuse counts below 1, a negative seed, and times that are none."""
    for flag, values in (
        ("--prompt", settings.prompt),
        ("--gen", settings.gen),
        ("--pg", tuple(value for pair in settings.pg for value in pair)),
        ("--enc", tuple(value for pair in settings.enc or () for value in pair)),
        ("--img", settings.img),
        ("--aud", tuple(sounds for _, sounds in settings.aud)),
        ("--batch", settings.batch),
        ("--rounds", (settings.rounds,)),
        ("--max-rounds", (settings.max_rounds,)),
        ("min_passes", (settings.min_passes,)),
    ):
        if any(value < 1 for value in values):
            raise UsageError(
                f"{flag} {min(values)} is below 1: it takes whole numbers from 1 on",
                fix=f"{flag} 1" if flag.startswith("--") else f"{flag} = 1 in the plan",
            )
    if settings.seed < 0:
        raise UsageError(
            f"--seed {settings.seed} is below 0: a seed is a whole number from 0 on", fix="--seed 0"
        )
    if not (math.isfinite(settings.cooldown) and settings.cooldown >= 0):
        raise UsageError(
            f"--cooldown {settings.cooldown} is not a time: it takes seconds from 0 on",
            fix="--cooldown 30s",
        )
    if settings.precision is not None and settings.rounds < 2 and settings.max_rounds < 2:
        raise UsageError(
            "--precision needs 2 rounds for an interval: "
            f"--rounds {settings.rounds} with --max-rounds {settings.max_rounds} ends after one",
            fix="--max-rounds 30",
        )
    for flag, seconds in (
        ("--budget", settings.budget if settings.budget is not None else 1.0),
        ("--sustain", settings.sustain if settings.sustain is not None else 1.0),
        ("timeout", settings.timeout),
        ("warm_seconds", settings.warm_seconds),
        ("sample_seconds", settings.sample_seconds),
    ):
        if not (math.isfinite(seconds) and seconds > 0):
            raise UsageError(
                f"{flag} {seconds} is not a time to measure by: it takes seconds above 0",
                fix=f"{flag} 60s" if flag.startswith("--") else f"{flag} = 60 in the plan",
            )


def check_judging(settings: Settings, named: Sequence[Model]) -> None:
    """Refuse --sensitivity, --reference and --tasks where nothing can answer them."""
    asked = [
        ("--reference", settings.reference is not None),
        ("--sensitivity", settings.sensitivity),
        ("--tasks", settings.tasks is not None),
    ]
    for flag, is_asked in asked:
        if is_asked and all(model.embeds for model in named):
            raise UsageError(
                f"{flag} is about next tokens, and {named[0].source.name} is an encoder",
                fix=f"leave {flag} out: --quality compares its embeddings",
            )
    if not settings.sensitivity:
        return
    if settings.reference is not None:
        raise UsageError(
            "--sensitivity mixes two levels of the same weights; --reference names others",
            fix="leave out --reference, or --sensitivity",
        )
    if not any(level.has_integers for part in settings.parts for level in find_levels(part.quant)):
        raise UsageError(
            f"--sensitivity ranks levels of integers, and {', '.join(settings.quant)} store floats",
            fix="a level of integers, such as --quant int8-block, int4 or int2",
        )


def check_distinct(models: Sequence[Model]) -> None:
    """Refuse a folder given in two ways: its two sets of records would share one row."""
    seen: dict[Path, str] = {}
    for model in models:
        if model.place is None:
            continue
        if model.place in seen:
            raise UsageError(
                f"--model {seen[model.place]!r} and {model.argument!r} are the same folder",
                fix="name each model once",
            )
        seen[model.place] = model.argument


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
        number = int(word[:9]) if word.isdecimal() else 0
        if not 1 <= number <= usable:
            raise UsageError(
                f"--threads {word[:40]} cannot be used: this process has {usable} usable cores",
                fix=f"--threads with numbers from 1 to {usable}, or all",
            )
        counts.append(number)
    return tuple(dict.fromkeys(counts))


def check_context(source: ModelSource, level: QuantLevel, workloads: tuple[Workload, ...]) -> None:
    """Refuse a test that is longer than the model is built for."""
    if level.variant is Variant.FUSED:
        geometry_of(source.spec, level)  # refuses what its operators cannot run
    limit = longest_context(source.spec)
    for workload in workloads:
        if workload.context_tokens > limit:
            raise UsageError(
                f"{workload.name} needs {workload.context_tokens} tokens of context; "
                f"{source.name} is built for {limit}",
                fix=f"keep {workload.shorter} at {limit} or below",
            )


def check_session_options(options: Pairs, threads: Sequence[int], runtimes: Sequence[str]) -> None:
    """Refuse options of sessions where a runtime opens none of ours, or threads do not fit them.

    Args:
        options: that were given.
        threads: counts of the plan or part.
        runtimes: names of those that run a model.

    Raises:
        UsageError: with what would do.
    """
    if not options:
        return
    for name in runtimes:
        if name != ORT:
            raise UsageError(
                f"{FLAG_OPTION} {options[0][0]} is of sessions that our own loop opens, and"
                f" --runtime {name} opens its own",
                fix=f"--runtime {ORT}, or leave {FLAG_OPTION} out",
            )
    for count in threads:
        check_places(options, count)


def check_prepack(
    settings: Settings,
    model: Model,
    devices: Sequence[Device],
    stored: Collection[Stored],
    runtimes: Collection[str],
) -> None:
    """Refuse saved copies and parallel packing where nothing packs: its rows would all be alike.

    Args:
        settings: of the plan or part.
        model: that is run.
        devices: as chosen.
        stored: its levels, each with its caches.
        runtimes: names of those that run it.

    Raises:
        UsageError: an unknown word, or cells that have no such form.
    """
    for word in settings.prepack:
        if word not in tuple(Prepack):
            raise UsageError(
                f"--prepack {word!r} is none of its words", fix=suggestion(word, tuple(Prepack))
            )
    asked = [word for word in settings.prepack if word != Prepack.OFF]
    if asked:
        for problem, fix in _without_copies(settings, model, devices, stored, runtimes):
            raise UsageError(f"--prepack {','.join(asked)}: there is none {problem}", fix=fix)


def _without_copies(
    settings: Settings,
    model: Model,
    devices: Sequence[Device],
    stored: Collection[Stored],
    runtimes: Collection[str],
) -> Iterator[Refusal]:
    """Yield what has no other form of prepacking than the usual one."""
    yield from ((f"on {one.key}", "--device cpu") for one in devices if not one.row.is_host)
    static = [level.name for level, _ in stored if level.variant is Variant.STATIC]
    yield from ((f"of static graphs, {name}", "--quant fp32,int4") for name in static)
    if any(map(is_served, runtimes)):
        yield "of models that a server holds", "--prepack off, or --runtime ort"
    if LLAMA in runtimes:
        yield "of files that llama.cpp opens", "--prepack off, or --runtime ort"
    if Prepack.ON in settings.prepack and model.is_own_plan:
        yield f"of exported files, {model.source.name}", "--prepack parallel, or off"
    if Prepack.PARALLEL in settings.prepack and GENAI in runtimes:
        yield "of sessions that genai opens", "--prepack on, or --runtime ort"
