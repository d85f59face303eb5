"""What the user asked for, as plain values: a plan file, then the flags that replace its keys.

A plan is TOML; every key is optional and has the flag's name. Unknown keys and wrong types are
refused with the file and the key, so that a typing slip never measures something else. A plan that
is no full product of its lists has `[[part]]` tables: each replaces lists for cells of its own.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.grid import (
    parse_encodes,
    parse_grid,
    parse_names,
    parse_pair,
    parse_seconds,
    parse_share,
)
from harness.specs.shipped import data_folder

DEFAULT_PLAN = "default"
# How much is measured, by a word: over the plan's own numbers, under flags that say more.
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"rounds": 3, "warm_seconds": 1.0, "sample_seconds": 0.25, "min_passes": 1},
    "default": {},
    "rigorous": {
        "rounds": 10,
        "max_rounds": 30,
        "precision": 0.02,
        "cooldown": 5.0,
        "warm_seconds": 10.0,
        "sample_seconds": 5.0,
        "min_passes": 10,
    },
}
# What a part of a plan may choose for itself: its cells, not how they are measured.
PART_KEYS = (
    *("model", "quant", "kv_cache", "device", "runtime"),
    *("prompt", "gen", "pg", "enc", "img", "depth", "batch", "threads"),
)
TURNS = "turns"
INTERLEAVES = ("rounds", TURNS)
TEST_KEYS = ("prompt", "gen", "pg")


@dataclass(frozen=True, slots=True)
class Settings:
    """One plan before its names are checked.

    Attributes:
        model: catalog names or paths.
        quant: level names.
        kv_cache: cache level names; `auto` is the float type of the weight level.
        device: device names.
        runtime: what runs a model: `ort`, our own loop, or `genai`, that of onnxruntime-genai.
        prompt: lengths of prefill tests, tokens.
        gen: lengths of decode tests, tokens.
        pg: (prompt, gen) of request tests, tokens.
        enc: (tokens, texts) of encoder tests; None: none are named, so an encoder runs the usual
            ones; empty: tests of decoders were asked for instead.
        depth: tokens already in the cache before prefill and decode tests.
        batch: sequences at once, of decoders.
        threads: intra-op threads as typed; `all` is every usable physical core.
        rounds: fresh processes per session group.
        budget: seconds after which no further round is begun; None: no limit.
        precision: half-width of the 95 % interval, a share of the centre, that is narrow enough:
            rounds are added until every cell has it; None: just `rounds`.
        max_rounds: most rounds with a precision.
        cooldown: seconds of rest before each process.
        interleave: `rounds`: whole processes one after the other; `turns`: all sessions of a round
            are open and take turns, pass by pass.
        sustain: seconds that every test runs without a rest, in a process of its own; None: not.
        seed: of weights, prompts and orders.
        warm_seconds: longest warm-up of one test in one process.
        sample_seconds: shortest timed part of one test in one process.
        min_passes: fewest timed passes of one test in one process.
        timeout: seconds after which a silent worker is ended.
        calibrate: measure this machine's ceilings first where none are stored.
        quality: hold every level against the fp32 twin of its model as well.
        sensitivity: rank groups of matrices by what each loses at a level, per MiB saved; asks
            for quality too.
        reference: model that quality is held against, a catalog name or a folder; None: each model
            at fp32.
        text: that quality is measured on: `english`, `korean` or a path; None: the model's own
            held-out text, else English.
        ep: keys of the provider rows that may serve a device class; empty: all.
        ep_option: provider options, `name=value`.
        allow_simulated: run on emulation where there is no hardware; rows are marked.
        allow_fallback: keep rows whose arithmetic did not all run on the device; they say so.
        profile: take a profile of each row as well, in a process of its own.
        img: images of vision tests at once; empty: the usual ones.
        dim: sizes of free dimensions of exported graphs, by name.
        quant_asked: levels were named by a flag, and not only by a plan.
        part: the cells, where they are more than one product of lists; each is a whole plan that
            differs in PART_KEYS only. Empty: this plan's own lists are the cells.
    """

    model: tuple[str, ...] = ("smollm2-135m",)
    quant: tuple[str, ...] = ("fp32", "int8", "int4")
    kv_cache: tuple[str, ...] = ("auto",)
    device: tuple[str, ...] = ("cpu",)
    runtime: tuple[str, ...] = ("ort",)
    prompt: tuple[int, ...] = ()
    gen: tuple[int, ...] = ()
    pg: tuple[tuple[int, int], ...] = ()
    enc: tuple[tuple[int, int], ...] | None = None
    depth: tuple[int, ...] = (0,)
    batch: tuple[int, ...] = (1,)
    threads: tuple[str, ...] = ("all",)
    rounds: int = 5
    budget: float | None = None
    precision: float | None = None
    max_rounds: int = 30
    cooldown: float = 0.0
    interleave: str = "rounds"
    sustain: float | None = None
    seed: int = 0
    warm_seconds: float = 10.0
    sample_seconds: float = 0.5
    min_passes: int = 3
    timeout: float = 600.0
    calibrate: bool = True
    quality: bool = False
    sensitivity: bool = False
    reference: str | None = None
    text: str | None = None
    ep: tuple[str, ...] = ()
    ep_option: tuple[str, ...] = ()
    allow_simulated: bool = False
    allow_fallback: bool = False
    profile: bool = False
    img: tuple[int, ...] = ()
    dim: tuple[tuple[str, int], ...] = ()
    quant_asked: bool = False
    part: tuple["Settings", ...] = ()

    @property
    def parts(self) -> tuple["Settings", ...]:
        """The plans whose products of lists are the cells."""
        return self.part or (self,)


def load_settings(plan: str | None, preset: str | None = None, **flags: Any) -> Settings:
    """Read a plan by name or path, put a preset over it, and over both the flags that were given.

    Any of `prompt`, `gen` and `pg` given as a flag replaces all three, so that `--prompt 512`
    runs pp512 and nothing else; `enc` is for other models, and replaces only itself.

    Raises:
        UsageError: no such plan or preset, unknown key, wrong type; says which file and key.
    """
    settings = read_plan(find_plan(plan or DEFAULT_PLAN))
    given = _preset(preset) | {key: value for key, value in flags.items() if value is not None}
    if "ep" in given:  # a row says its class itself
        given.setdefault("device", given["ep"])
    if given.keys() & set(TEST_KEYS):
        given = {**dict.fromkeys((*TEST_KEYS, "enc"), ()), **given}
    given["quant_asked"] = "quant" in given
    parts = tuple(replace(part, **given) for part in settings.part)
    return replace(settings, **given, part=parts)


def _preset(name: str | None) -> dict[str, Any]:
    """The values that a word stands for."""
    if name is not None and name not in PRESETS:
        raise UsageError(f"no preset is called {name!r}", fix=f"one of: {', '.join(PRESETS)}")
    return dict(PRESETS[name or "default"])


def flag_values(flags: Mapping[str, object]) -> dict[str, Any]:
    """Turn flags into the values a plan would hold; text is split, None and () are left out.

    Raises:
        UsageError: an unknown flag, a bad grid, name list, pair or time.
    """
    values = {}
    for key, value in flags.items():
        if value is None or value == ():
            continue
        if key not in _READERS:
            near = get_close_matches(key, _READERS, n=1) or sorted(_READERS)
            raise UsageError(f"no flag is called {key!r}", fix=f"use {', '.join(near)}")
        reader = _FLAG_READERS.get(key, _READERS[key])
        try:
            values[key] = reader(value, f"--{key}")
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"--{key} {value!r}: {error}", fix=f"bench run --help: {key}"
            ) from error
    return values


def find_plan(plan: str) -> Path:
    """Return the file of a plan: a path, or the name of one that ships with the harness."""
    path = Path(plan)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in sorted(data_folder("configs").glob("*.toml"))}
    if plan not in shipped:
        near = get_close_matches(plan, shipped, n=1) or sorted(shipped)
        raise UsageError(f"no plan file {plan!r}", fix=f"a path, or one of: {', '.join(near)}")
    return shipped[plan]


def read_plan(path: Path) -> Settings:
    """Read one TOML plan; keys it leaves out keep the defaults of Settings."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"plan {path} cannot be read: {error}", fix="see configs/") from error
    parts = table.pop("part", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UsageError(f"plan {path}: part is no table", fix="[[part]] above the keys of a part")
    settings = replace(Settings(), **_check_table(table, path, tuple(_READERS)))
    found = tuple(replace(settings, **_check_table(part, path, PART_KEYS)) for part in parts)
    return replace(settings, part=found)


def _check_table(table: Mapping[str, Any], path: Path, allowed: tuple[str, ...]) -> dict[str, Any]:
    checked = {}
    for key, value in table.items():
        if key not in allowed:
            near = get_close_matches(key, allowed, n=1) or sorted(allowed)
            raise UsageError(f"plan {path}: unknown key {key!r}", fix=f"use {', '.join(near)}")
        try:
            checked[key] = _READERS[key](value, key)
        except UsageError as error:
            raise UsageError(f"plan {path}: {error.problem}", error.fix) from error
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"plan {path}: {key} = {value!r}: {error}", fix="see configs/"
            ) from error
    return checked


def _words(value: Any, key: str) -> tuple[str, ...]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items or not all(isinstance(item, str | int) and item != "" for item in items):
        raise TypeError("a list of names is needed")
    return tuple(dict.fromkeys(str(item) for item in items))


def _grid(value: Any, key: str) -> tuple[int, ...]:
    items = value if isinstance(value, list) else [value]
    values: list[int] = []
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | str):
            raise TypeError("numbers or a range such as '8-64*2' are needed")
        values.extend(parse_grid(str(item), key))
    return tuple(dict.fromkeys(values))


def _pairs(value: Any, key: str) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list):
        raise TypeError("a list of [prompt, gen] is needed")
    return tuple(parse_pair(",".join(map(str, pair)), key) for pair in value)


def _encodes(value: Any, key: str) -> tuple[tuple[int, int], ...]:
    items = value if isinstance(value, list | tuple) else [value]
    words = [item if isinstance(item, str) else "x".join(map(str, item)) for item in items]
    if not words:
        raise TypeError("a list of texts such as '128x8' is needed")
    return parse_encodes(",".join(words), key)


def _dims(value: Any, key: str) -> tuple[tuple[str, int], ...]:
    items = value if isinstance(value, list | tuple) else [value]
    sizes = {}
    for item in items:
        name, _, size = str(item).rpartition("=")
        if not name or not size.isdecimal() or int(size) < 1:
            raise TypeError("name=size is needed, such as batch=1")
        sizes[name] = int(size)
    return tuple(sizes.items())


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is needed")
    return float(value)


def _share(value: Any, key: str) -> float:
    return parse_share(value if isinstance(value, str) else str(_number(value, key)), key)


def _integer(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a whole number is needed")
    return value


def _word(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a word or a path is needed")
    return value


def _interleave(value: Any, key: str) -> str:
    if value not in INTERLEAVES:
        raise ValueError(f"one of {', '.join(INTERLEAVES)} is needed")
    return str(value)


def _truth(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is needed")
    return value


_READERS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(("model", "quant", "kv_cache", "device", "threads"), _words),
    **dict.fromkeys(("ep", "ep_option", "runtime"), _words),
    **dict.fromkeys(("prompt", "gen", "depth", "batch", "img"), _grid),
    "dim": _dims,
    "pg": _pairs,
    "enc": _encodes,
    **dict.fromkeys(("rounds", "max_rounds", "seed", "min_passes"), _integer),
    **dict.fromkeys(("budget", "timeout", "warm_seconds", "sample_seconds"), _number),
    **dict.fromkeys(("cooldown", "sustain"), _number),
    "precision": _share,
    **dict.fromkeys(("calibrate", "quality", "sensitivity", "profile"), _truth),
    **dict.fromkeys(("allow_simulated", "allow_fallback"), _truth),
    **dict.fromkeys(("reference", "text"), _word),
    "interleave": _interleave,
}


def _flag_words(value: Any, key: str) -> tuple[str, ...]:
    return parse_names(value, key) if isinstance(value, str) else _words(value, key)


def _flag_pairs(value: Any, key: str) -> tuple[tuple[int, int], ...]:
    if isinstance(value, str):
        return (parse_pair(value, key),)
    if all(isinstance(pair, str) for pair in value):
        return tuple(parse_pair(pair, key) for pair in value)
    return _pairs(list(value), key)


def _flag_grid(value: Any, key: str) -> tuple[int, ...]:
    return _grid(list(value) if isinstance(value, tuple) else value, key)


def _flag_seconds(value: Any, key: str) -> float:
    return parse_seconds(value, key) if isinstance(value, str) else _number(value, key)


_FLAG_READERS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(
        ("model", "quant", "kv_cache", "device", "threads", "ep", "runtime"), _flag_words
    ),
    **dict.fromkeys(("prompt", "gen", "depth", "batch", "img"), _flag_grid),
    "pg": _flag_pairs,
    "ep_option": _words,
    **dict.fromkeys(("budget", "cooldown", "sustain"), _flag_seconds),
}
