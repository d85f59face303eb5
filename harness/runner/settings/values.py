"""The values of a plan: what each key takes, the record they become, and those of a preset.

Types are held by msgspec, strictly: `rounds = "5"` and `rounds = true` are no numbers. What
text stands for is read by `harness.core.ranges`. A plan's TOML and a flag's text lead to one
value, that of Settings.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.core.environment import OFF
from harness.core.errors import UsageError, suggestion
from harness.core.ranges import (
    parse_encodes,
    parse_grid,
    parse_names,
    parse_pair,
    parse_seconds,
    parse_share,
    parse_sounds,
    parse_temperature,
    parse_turns,
    whole_number,
)
from harness.results.requirement import parse_requirements, requirement_texts
from harness.stats.stopping import Looks, looks_of

TURNS = "turns"
# Positions of a cache that are no number: as many as the tests need, as many as the model takes.
AS_TESTED, MOST = CAPACITY_WORDS = ("tests", "max")
# Whether products round activations to int8, as kernels of blocks do; the second also as they are.
ROUNDED, EXACT_TOO = ACTIVATIONS = ("rounded", "exact")
PLAN = "plan"  # in Settings.given
INTERLEAVES = ("rounds", TURNS)
LONGEST_COUNT = 20  # digits that are looked at: those of 64 bits, and one more
_NUMBERS_OR_RANGE = re.compile(r"[0-9]+|[0-9]+-[0-9]+.*")
# Over the plan's own numbers, under flags that say more.
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


# The tests of another tool, over those of the plan, under flags that say more. What else differs
# from it stands in docs/peers.md.
LIKES: dict[str, dict[str, Any]] = {
    "llama-bench": {"prompt": (512,), "gen": (128,), "depth": (0,), "prefill_chunk": (512,)},
}


@dataclass(frozen=True, slots=True)
class Settings:
    """One plan before its names are checked.

    Attributes: as harness.results.plan.RunPlan says, which has the same; and
        given: keys that flags gave, in alphabetical order; PLAN among them where the plan is the
            user's own. What is given is measured or refused; what is not may follow the model.
        part: the cells, where they are more than one product of lists; each is a whole plan that
            differs in PART_KEYS only. Empty: this plan's own lists are the cells.
    """

    model: tuple[str, ...] = ("smollm2-135m",)
    quant: tuple[str, ...] = ("fp32", "int8", "int4")
    kv_cache: tuple[str, ...] = ("auto",)
    device: tuple[str, ...] = ("cpu",)
    runtime: tuple[str, ...] = ("ort",)
    prepack: tuple[str, ...] = ("off",)
    prompt: tuple[int, ...] = ()
    gen: tuple[int, ...] = ()
    pg: tuple[tuple[int, int], ...] = ()
    turns: tuple[tuple[int, int, int], ...] = ()
    enc: tuple[tuple[int, int], ...] | None = None
    depth: tuple[int, ...] = (0,)
    prefill_chunk: tuple[int, ...] = (0,)
    capacity: tuple[str, ...] = (AS_TESTED,)
    batch: tuple[int, ...] = (1,)
    threads: tuple[str, ...] = ("all",)
    rounds: int = 5
    budget: float | None = None
    precision: float | None = None
    max_rounds: int = 30
    cooldown: float = 0.0
    start_below: float | None = None
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
    tasks: str | None = None
    ep: tuple[str, ...] = ()
    ep_option: tuple[str, ...] = ()
    session_option: tuple[str, ...] = ()
    allow_simulated: bool = False
    allow_fallback: bool = False
    profile: bool = False
    img: tuple[int, ...] = ()
    aud: tuple[tuple[float, int], ...] = ()
    dim: tuple[tuple[str, int], ...] = ()
    input: tuple[tuple[str, float], ...] = ()
    graph_inputs: str = "frozen"
    activations: str = ROUNDED
    telemetry: str = OFF
    require: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    part: tuple["Settings", ...] = ()

    def is_asked(self, *keys: str) -> bool:
        """Whether a flag, or a plan that does not ship, says what is tested."""
        return PLAN in self.given or any(key in self.given for key in keys)

    @property
    def most_rounds(self) -> int:
        """That a group can have."""
        return self.rounds if self.precision is None else max(self.rounds, self.max_rounds)

    @property
    def looks(self) -> Looks:
        """After how many rounds of a group the width of its intervals decides on another one."""
        return looks_of(self.rounds, self.most_rounds)

    @property
    def parts(self) -> tuple["Settings", ...]:
        """The plans whose products of lists are the cells."""
        return self.part or (self,)


def preset_values(name: str | None) -> dict[str, Any]:
    """Return the values that a word stands for; None: those of the plan.

    Raises:
        UsageError: no preset has this name.
    """
    if name is not None and name not in PRESETS:
        raise UsageError(f"no preset is called {name!r}", fix=suggestion(name, PRESETS))
    return dict(PRESETS[name or "default"])


def like_values(name: str | None) -> dict[str, Any]:
    """Return the tests of a tool; None: nothing.

    Raises:
        UsageError: no such tool is known.
    """
    if name is not None and name not in LIKES:
        raise UsageError(f"no tool is called {name!r}", fix=suggestion(name, LIKES))
    return dict(LIKES.get(name or "", {}))


@dataclass(frozen=True, slots=True)
class Reader:
    """One way of giving a value.

    Attributes:
        kind: what msgspec takes, of a plan or from Python.
        needs: that in words, which follow `must be`.
        build: from a value of `kind`, and what it is called, to that of Settings.
        parse: from text to that of Settings; None: as `build`.
        words: the only ones there are; empty: no such list.
    """

    kind: Any
    needs: str
    build: Callable[[Any, str], Any]
    parse: Callable[[str, str], Any] | None = None
    words: tuple[str, ...] = ()

    def read(self, value: Any, called: str, fix: str, *, is_text: bool) -> Any:
        """Return what a value stands for.

        Args:
            value: of a plan, or of a flag.
            called: the flag or the key, for messages.
            fix: a right way to give it.
            is_text: text is that of a flag, `128,512`, and not a word of a plan.

        Raises:
            UsageError: it is of another type, or no such thing; says which.
        """
        if is_text and isinstance(value, str) and self.parse is not None:
            return self.parse(value, called)
        try:
            typed = msgspec.convert(value, self.kind, strict=True)
        except msgspec.ValidationError as error:
            raise UsageError(f"{called} {value!r} must be {self.needs}", fix=fix) from error
        return self.build(typed, called)


def one_of(words: tuple[str, ...]) -> Reader:
    """The reader of one word of a few."""

    def check(word: str, called: str) -> str:
        if word not in words:
            raise UsageError(f"{called} {word!r} is none of its words", fix=suggestion(word, words))
        return word

    return Reader(str, f"one of {', '.join(words)}", check, check, words)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _each_once(value: Any, called: str) -> tuple[str, ...]:
    words = [str(item) for item in _items(value)]
    if not words or not all(words):
        raise UsageError(f"{called} {value!r} has no name, or an empty one", fix="a list of names")
    return tuple(dict.fromkeys(words))


def _numbers(value: Any, called: str) -> tuple[int, ...]:
    found = [number for item in _items(value) for number in parse_grid(str(item), called)]
    return tuple(dict.fromkeys(found))


def _capacities(value: Any, called: str) -> tuple[str, ...]:
    words: list[str] = []
    for word in (part.strip() for item in _items(value) for part in str(item).split(",")):
        if word in CAPACITY_WORDS:
            words.append(word)
        elif _NUMBERS_OR_RANGE.fullmatch(word):
            words += map(str, parse_grid(word, called))
        else:
            raise UsageError(
                f"{called} {word!r} is no number of positions, nor {' or '.join(CAPACITY_WORDS)}",
                fix=f"{called} 1024,8192 (or a range, 1024-8192*2), {AS_TESTED} (as many as the"
                f" tests need) or {MOST} (the model's whole context)",
            )
    if "0" in words:
        raise UsageError(
            f"{called} 0 holds nothing: it takes whole numbers from 1 on",
            fix=f"{called} {AS_TESTED}, which is as many as the tests need, or {called} {MOST}",
        )
    return tuple(dict.fromkeys(words))


def _pairs(value: Any, called: str) -> tuple[tuple[int, int], ...]:
    texts = [item if isinstance(item, str) else ",".join(map(str, item)) for item in _items(value)]
    return tuple(parse_pair(text, called) for text in texts)


def _chats(value: Any, called: str) -> tuple[tuple[int, int, int], ...]:
    texts = [item if isinstance(item, str) else "{}x{}+{}".format(*item) for item in _items(value)]
    return parse_turns(",".join(texts), called)


def _encodes(value: Any, called: str) -> tuple[tuple[int, int], ...]:
    texts = [item if isinstance(item, str) else "x".join(map(str, item)) for item in _items(value)]
    return parse_encodes(",".join(texts), called)


def _sounds(value: Any, called: str) -> tuple[tuple[float, int], ...]:
    texts = [item if isinstance(item, str) else "x".join(map(str, item)) for item in _items(value)]
    return parse_sounds(",".join(texts), called)


def _dims(value: Any, called: str) -> tuple[tuple[str, int], ...]:
    sizes = {}
    for item in _items(value):
        name, _, size = item.rpartition("=")
        number = whole_number(size, called) if size.isdecimal() else 0
        if not name or number < 1:
            raise UsageError(
                f"{called} {item!r} must be a name and a size of 1 or more", fix="--dim batch=1"
            )
        sizes[name] = number
    return tuple(sizes.items())


def _inputs(value: Any, called: str) -> tuple[tuple[str, float], ...]:
    values: dict[str, float] = {}
    for item in _items(value):
        name, _, number = item.rpartition("=")
        try:
            found = float(number)
        except ValueError:
            found = math.nan
        if not name or not math.isfinite(found):
            raise UsageError(
                f"{called} {item!r} must be a name and a number", fix="--input sr=16000"
            )
        values[name] = int(found) if found.is_integer() else found
    return tuple(values.items())


def _requirements(value: Any, called: str) -> tuple[str, ...]:
    texts = requirement_texts(value, called) if isinstance(value, dict) else _items(value)
    return tuple(one.text for one in parse_requirements(texts, called))


def _whole(text: str, called: str) -> int:
    try:
        number = int(text[:LONGEST_COUNT])
    except ValueError as error:
        shown = text[:LONGEST_COUNT]
        raise UsageError(f"{called} {shown!r} must be a whole number", fix=f"{called} 3") from error
    return _count(number, called)


def _count(number: int, called: str) -> int:
    """The number, where a document can hold it."""
    if abs(number) >= 2**63:
        raise UsageError(f"{called} is beyond 64 bits", fix=f"{called} 3")
    return number


def _seconds(value: Any, called: str) -> float:
    return parse_seconds(value, called) if isinstance(value, str) else float(value)


def _celsius(value: Any, called: str) -> float:
    return parse_temperature(value if isinstance(value, str) else f"{value}C", called)


def _share(value: Any, called: str) -> float:
    return parse_share(str(value), called)


def _word(value: str, called: str) -> str:
    if not value:
        raise UsageError(f"{called} is empty", fix=f"a word or a path after {called}")
    return value


def _same(value: Any, _: str) -> Any:
    return value


WORDS = Reader(str | int | list[str | int], "a name or a list of names", _each_once, parse_names)
OPTIONS = Reader(str | list[str], "text or a list of texts", _each_once)  # a value may have commas
NUMBERS = Reader(
    int | str | list[int | str], "numbers, or ranges such as '8-64*2'", _numbers, parse_grid
)
CAPACITIES = Reader(
    int | str | list[int | str],
    f"numbers, {' or '.join(CAPACITY_WORDS)}",
    _capacities,
    _capacities,
)
PAIRS = Reader(str | list[str | tuple[int, int]], "a list of [prompt, gen]", _pairs)
CHATS = Reader(
    str | list[str | tuple[int, int, int]], "a list such as ['4x128+64']", _chats, parse_turns
)
ENCODES = Reader(str | list[str | tuple[int, int]], "a list such as ['128x8']", _encodes)
SOUNDS = Reader(
    str | list[str | tuple[float, int]], "a list such as ['10x1']", _sounds, parse_sounds
)
DIMS = Reader(str | list[str], "a list such as ['batch=1']", _dims)
INPUTS = Reader(str | list[str], "a list such as ['sr=16000']", _inputs)
REQUIREMENTS = Reader(
    str | list[str] | dict[str, str],
    "a table such as [require] with decode = '>=20', or a list of such texts",
    _requirements,
)
COUNT = Reader(int, "a whole number", _count, _whole)
SECONDS = Reader(float | str, "seconds, or a time such as '5m'", _seconds)
CELSIUS = Reader(float | str, "degrees Celsius, or a temperature such as '45C' or '113F'", _celsius)
SHARE = Reader(float | str, "a share such as 0.05 or '5%'", _share)
TRUTH = Reader(bool, "true or false", _same)
WORD = Reader(str, "a word or a path", _word)
