"""Every flag that says what is measured: one row each.

A row makes the option of every command that shares it, reads the key of a plan file and the
keyword of `harness.run`, and is a line of docs/plans.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from harness.builder.quantize.levels import (
    AUTO,
    CACHES,
    GGUF_LEVELS,
    LEVELS,
    STATIC_LEVELS,
    SWEEP,
    USUAL,
)
from harness.core.environment import TELEMETRY_WORDS
from harness.core.errors import UsageError, suggestion
from harness.engine.exported.geometry import GRAPH_INPUTS
from harness.runner.settings import values as readers
from harness.runner.settings.values import (
    ACTIVATIONS,
    INTERLEAVES,
    LIKES,
    PRESETS,
    Reader,
    Settings,
    one_of,
)

TESTS = "What is measured"
DEVICES = "Where it runs"
EFFORT = "How much and how exactly"
BESIDES = "What else is measured"
GROUPS = (TESTS, DEVICES, EFFORT, BESIDES)

RUN = ("run",)
ANY = ("run", "ab", "audit")  # a variant of `bench ab` may give it again
TUNED = (*ANY, "tune", "fit")
FITTED = (*RUN, "fit")
PLAN_ONLY = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag, plan key and keyword.

    Attributes:
        key: its name in a plan and in Python; the option has `-` for `_`.
        reader: what it takes.
        example: text that follows the option; empty: a switch, which takes none.
        in_plan: the same in TOML; empty: it is no key of a plan.
        metavar: stands for its text in the help.
        group: heading of the help.
        help: one or two sentences.
        commands: those that share it.
        is_multiple: the option may be given again.
        in_part: a `[[part]]` of a plan may have it: it says which cells, not how.
        hides_default: what Settings has is no news, as every shipped plan says it.
        name: of the option, where it is not the key.
    """

    key: str
    reader: Reader
    example: str
    in_plan: str
    metavar: str
    group: str
    help: str
    commands: tuple[str, ...] = RUN
    is_multiple: bool = False
    in_part: bool = False
    hides_default: bool = False
    name: str = ""

    @property
    def option(self) -> str:
        """As it is typed."""
        return f"--{self.name or self.key.replace('_', '-')}"

    @property
    def is_switch(self) -> bool:
        """Whether the option takes no text: `--quality`, `--no-quality`."""
        return self.reader is readers.TRUTH

    @property
    def right_use(self) -> str:
        """A way to give it, for errors."""
        if self.is_switch:
            return f"{self.key}=True or {self.key}=False"
        return (
            f"bench run {self.option} {self.example}"
            if self.example
            else f"{self.key}={self.in_plan}"
        )

    @property
    def default(self) -> Any:
        """What a plan has that does not say it; None: nothing, or it is no key of a plan."""
        return next((field.default for field in fields(Settings) if field.name == self.key), None)


# A row that says which cells there are.
_cells = partial(Flag, commands=ANY, in_part=True)
_tuned = partial(_cells, commands=TUNED)

FLAGS: tuple[Flag, ...] = (
    _cells(
        "model", readers.WORDS, "bytelm,llama-3.2-1b", '["bytelm", "llama-3.2-1b"]',
        "MODELS", TESTS,
        "Catalog names, Hugging Face folders, hf:org/name[@revision][:folder], .onnx files or"
        " folders with them, .gguf files; comma-separated.",
        hides_default=True,
    ),
    _tuned(
        "quant", readers.WORDS, "fp32,int4", '["fp32", "int4"]', "LEVELS", TESTS,
        f"Levels, comma-separated; `{USUAL}`: two that the device runs; `{SWEEP}`: all of them,"
        f" {', '.join(LEVELS)} on CPUs and GPUs, {', '.join(STATIC_LEVELS)} on NPUs; by llama.cpp"
        f" {', '.join(GGUF_LEVELS)}.",
        hides_default=True,
    ),
    Flag(
        "activations", one_of(ACTIVATIONS), "exact", '"exact"', "", TESTS,
        "exact: one row more for each level whose products round activations to int8 once per block"
        " of weights, which does not (slow): with --quality, what the weights alone lose.",
    ),
    _tuned(
        "kv_cache", readers.WORDS, "auto,int8", '["auto", "int8"]', "TYPES", TESTS,
        f"Types of cached keys and values: {AUTO}, {', '.join(CACHES)}.",
    ),
    _tuned(
        "prompt", readers.NUMBERS, "128,512", "[128, 512]", "TOKENS", TESTS,
        "Prefill tests, tokens: 128,512 or 128-512+128 or 8-64*2.",
    ),
    _tuned(
        "gen", readers.NUMBERS, "32", "[32]", "TOKENS", TESTS, "Decode tests, tokens.",
    ),
    _tuned(
        "pg", readers.PAIRS, "128,16", "[[128, 16]]", "PROMPT,GEN", TESTS,
        "Request tests: prompt,gen. May be given again.",
        is_multiple=True,
    ),
    _cells(
        "turns", readers.CHATS, "4x128+64", '["4x128+64"]', "TURNSxPROMPT+GEN", TESTS,
        "Turns of a chat: each reads a prompt behind those before it, with the cache kept and by"
        " reading everything again, and decodes an answer.",
        commands=("run", "ab", "fit"),
    ),
    _tuned(
        "enc", readers.ENCODES, "128x1,128x8", '["128x1", "128x8"]', "TOKENSxTEXTS", TESTS,
        "Encoder tests, tokens x texts: 128x1,128x8; encoders run no others.",
    ),
    _tuned(
        "img", readers.NUMBERS, "1,8", "[1, 8]", "IMAGES", TESTS,
        "Vision tests, images at once: 1,8.",
    ),
    _tuned(
        "aud", readers.SOUNDS, "10x1,30x4", '["10x1", "30x4"]', "SECONDSxSOUNDS", TESTS,
        "Sound tests, seconds x sounds: 10x1,30x4.",
    ),
    Flag(
        "dim", readers.DIMS, "batch=1", '["batch=1"]', "NAME=SIZE", TESTS,
        "Size of a free dimension of an exported graph: batch=1.",
        commands=TUNED, is_multiple=True,
    ),
    Flag(
        "input", readers.INPUTS, "sr=16000", '["sr=16000"]', "NAME=VALUE", TESTS,
        "Value of an input of an exported graph that no test feeds, such as a rate: sr=16000.",
        commands=TUNED, is_multiple=True,
    ),
    Flag(
        "graph_inputs", one_of(GRAPH_INPUTS), "as-is", '"as-is"', "", TESTS,
        "Weights of an exported graph that are inputs too: frozen, which makes constants of them"
        " in memory, or as-is, which leaves kernels unable to pack them.",
        commands=TUNED,
    ),
    _tuned(
        "depth", readers.NUMBERS, "0,512", "[0, 512]", "TOKENS", TESTS,
        "Tokens already in the cache before prefill and decode tests.",
    ),
    _tuned(
        "prefill_chunk", readers.NUMBERS, "0,512", "[0, 512]", "TOKENS", TESTS,
        "Tokens of a prompt that are read at once; 0: all of them.",
    ),
    _tuned(
        "capacity", readers.CAPACITIES, "tests,8192,max", '["tests", 8192, "max"]', "TOKENS", TESTS,
        "Positions that a decoder's cache is allocated for: numbers, tests (what the tests need),"
        " max (all that the model takes, as apps do).",
    ),
    _tuned(
        "batch", readers.NUMBERS, "1,4", "[1, 4]", "SEQUENCES", TESTS,
        "Sequences at once, of decoders.",
    ),
    Flag(
        "seed", readers.COUNT, "7", "7", "N", TESTS,
        "Seed of weights, prompts and orders.",
        commands=TUNED,
    ),
    Flag(
        "plan", readers.WORD, "sweep", "", "PLAN", TESTS,
        "A plan file, or a shipped plan: default, ci, sweep, kv, full, scaling, modern, validate,"
        " held-out, ab, fit.",
        commands=(*ANY, "fit"), name="config",
    ),
    _tuned(
        "device", readers.WORDS, "cpu,gpu", '["cpu", "gpu"]', "DEVICES", DEVICES,
        "Devices, comma-separated: cpu, gpu, npu, auto (the best that works), or a row of `bench"
        " devices`; gpu:1 is the second one.",
    ),
    Flag(
        "ep", readers.WORDS, "webgpu", '["webgpu"]', "ROWS", DEVICES,
        "Rows of `bench devices` that may serve a class, comma-separated.",
        commands=TUNED,
    ),
    Flag(
        "ep_option", readers.OPTIONS, "powerPreference=low-power",
        '["powerPreference=low-power"]', "NAME=VALUE", DEVICES,
        "Provider option, name=value. May be given again.",
        commands=TUNED, is_multiple=True,
    ),
    Flag(
        "session_option", readers.OPTIONS, "session.dynamic_block_base=4",
        '["session.dynamic_block_base=4"]', "NAME=VALUE", DEVICES,
        "Option of every session of ONNX Runtime, name=value. May be given again.",
        commands=TUNED, is_multiple=True,
    ),
    Flag(
        "allow_simulated", readers.TRUTH, "", "true", "", DEVICES,
        "Emulate a device that is not there: proves the function, rows are marked.",
    ),
    Flag(
        "allow_fallback", readers.TRUTH, "", "true", "", DEVICES,
        "Keep rows whose arithmetic did not all run on the device; they say so.",
    ),
    _cells(
        "runtime", readers.WORDS, "ort,genai", '["ort", "genai"]', "RUNTIMES", DEVICES,
        "What runs a model: ort, our own loop; genai, that of onnxruntime-genai; llama.cpp, which"
        " runs int4 as Q4_0, int8 as Q8_0; http://HOST:PORT, a server of OpenAI's or Ollama's API,"
        " with #NAME where it calls the model otherwise.",
    ),
    _tuned(
        "prepack", readers.WORDS, "off,on", '["off", "on"]', "WORDS", DEVICES,
        "When the CPU's kernels copy weights: off, at each load; on, once, saved beside the model"
        " and mapped; parallel, at each load on all threads.",
    ),
    _tuned(
        "threads", readers.WORDS, "1,2,all", '[1, 2, "all"]', "COUNTS", DEVICES,
        "Intra-op threads; `all`: every usable physical core.",
    ),
    Flag(
        "like", one_of(tuple(LIKES)), "llama-bench", "", "", TESTS,
        "The tests of another tool, over the plan: pp512 and tg128, prompts in chunks of 512.",
    ),
    Flag(
        "preset", one_of(tuple(PRESETS)), "quick", "", "", EFFORT,
        "How much is measured, over the plan.",
    ),
    Flag(
        "rounds", readers.COUNT, "5", "5", "N", EFFORT,
        "Fresh processes per row.",
        hides_default=True,
    ),
    Flag(
        "budget", readers.SECONDS, "5m", '"5m"', "TIME", EFFORT,
        "Begin no further round after this time: 60s, 5m.",
        commands=FITTED,
    ),
    Flag(
        "precision", readers.SHARE, "5%", '"5%"', "SHARE", EFFORT,
        "Add rounds until every 95 % interval is within this half-width: 5%.",
    ),
    Flag(
        "max_rounds", readers.COUNT, "30", "30", "N", EFFORT,
        "Most rounds with --precision.",
        commands=FITTED,
    ),
    Flag(
        "cooldown", readers.SECONDS, "30s", '"30s"', "TIME", EFFORT,
        "Rest this long before each process: 30s.",
        commands=FITTED,
    ),
    Flag(
        "start_below", readers.CELSIUS, "45C", '"45C"', "DEGREES", EFFORT,
        "Before each process wait until the hottest sensor is below this: 45C, 113F; ten minutes"
        " at most.",
    ),
    Flag(
        "interleave", one_of(INTERLEAVES), "turns", '"turns"', "", EFFORT,
        "Sessions one after the other in each round, or all open and interleaved pass by pass.",
    ),
    Flag(
        "sustain", readers.SECONDS, "10m", '"10m"', "TIME", EFFORT,
        "Also run every test this long without a rest: 10m.",
        commands=FITTED,
    ),
    Flag(
        "require", readers.REQUIREMENTS, "decode>=20,ttft<=800ms", '{decode = ">=20"}',
        "LIMITS", EFFORT,
        "Limits that have to be kept, comma-separated: decode>=20, ttft<=800ms, peak<=2GiB,"
        " kld<=0.05, top1>=95%, load<=3s, sustained_decode>=15. May be given again.",
        commands=FITTED, is_multiple=True,
    ),
    Flag(
        "warm_seconds", readers.SECONDS, "", "1.0", "", EFFORT,
        "Longest warm-up of one test in one process.",
        commands=PLAN_ONLY,
    ),
    Flag(
        "sample_seconds", readers.SECONDS, "", "0.25", "", EFFORT,
        "Shortest timed part of one test in one process.",
        commands=PLAN_ONLY,
    ),
    Flag(
        "min_passes", readers.COUNT, "", "3", "", EFFORT,
        "Fewest timed passes of one test in one process.",
        commands=PLAN_ONLY,
    ),
    Flag(
        "timeout", readers.SECONDS, "10m", '"10m"', "TIME", EFFORT,
        "End a worker that is silent so long; else a phase has many times what it should take.",
        commands=("run", "ab"), hides_default=True,
    ),
    Flag(
        "calibrate", readers.TRUTH, "", "false", "", BESIDES,
        "Measure this machine's hardware peaks first where none are stored.",
    ),
    Flag(
        "telemetry", one_of(TELEMETRY_WORDS), "default", '"default"', "", BESIDES,
        "default: leave onnxruntime's telemetry as its wheels have it, which write a device id and"
        " try to send events inside timed samples. It is off in every process otherwise.",
    ),
    Flag(
        "profile", readers.TRUTH, "", "true", "", BESIDES,
        "Also take where the time goes, per operator, in a process of its own.",
    ),
    Flag(
        "quality", readers.TRUTH, "", "true", "", BESIDES,
        "Compare every level with its model at fp32, on fixed tokens.",
    ),
    Flag(
        "tasks", readers.WORD, "builtin", '"builtin"', "TASKS", BESIDES,
        "Let every level answer questions with choices, beside its model at fp32: builtin, or a"
        " file with one JSON object a line.",
        commands=FITTED,
    ),
    Flag(
        "sensitivity", readers.TRUTH, "", "true", "", BESIDES,
        "Rank groups of matrices by what each loses at a level, per MiB saved.",
    ),
    Flag(
        "reference", readers.WORD, "smollm2-360m", '"smollm2-360m"', "MODEL", BESIDES,
        "Model that quality is compared with, instead of its own fp32.",
    ),
    Flag(
        "text", readers.WORD, "korean", '"korean"', "TEXT", BESIDES,
        "What quality is measured on: english, korean or a file.",
        commands=FITTED,
    ),
)  # fmt: skip

_BY_KEY = {row.key: row for row in FLAGS}
PLAN_KEYS = tuple(row.key for row in FLAGS if row.in_plan)
PART_KEYS = tuple(row.key for row in FLAGS if row.in_part)


def flags_of(command: str) -> tuple[Flag, ...]:
    """The rows that a command shares, in the order of its help."""
    return tuple(row for row in FLAGS if command in row.commands)


def flag(key: str) -> Flag:
    """The row of a key that there is."""
    return _BY_KEY[key]


def flag_values(flags: Mapping[str, object]) -> dict[str, Any]:
    """Turn flags into the values a plan would hold; text is split, None and () are left out.

    Raises:
        UsageError: an unknown flag, or a value that it does not take.
    """
    values = {}
    for key, value in flags.items():
        if value is None or value == ():
            continue
        if key not in PLAN_KEYS:
            raise UsageError(f"no flag is called {key!r}", fix=suggestion(key, PLAN_KEYS))
        row = _BY_KEY[key]
        values[key] = row.reader.read(value, row.option, row.right_use, is_text=True)
    return values


def plan_values(table: Mapping[str, Any], allowed: tuple[str, ...], called: str) -> dict[str, Any]:
    """Turn a table of a plan file into values of Settings.

    Args:
        table: as TOML gave it.
        allowed: keys that it may have.
        called: the file, for messages.

    Raises:
        UsageError: an unknown key, or a value that it does not take.
    """
    values = {}
    for key, value in table.items():
        if key not in allowed:
            raise UsageError(f"{called}: unknown key {key!r}", fix=suggestion(key, allowed))
        row = _BY_KEY[key]
        try:
            values[key] = row.reader.read(value, key, f"{key} = {row.in_plan}", is_text=False)
        except UsageError as error:
            in_flags = error.fix.startswith(f"{key} ")  # the way out as it is typed, not as TOML
            fix = f"{key} = {row.in_plan}" if in_flags else error.fix
            raise UsageError(f"{called}: {error.problem}", fix) from error
    return values
