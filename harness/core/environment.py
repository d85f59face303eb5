"""Every environment variable that is read or set here, and what reads those of others.

The only place that touches the process's environment; docs/environment.md is made of this table.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.core.withheld import without_secrets


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    Attributes:
        name: as it is set.
        reader: what reads it: `bench`, or a library.
        meaning: what it does, one sentence.
        example: a value.
    """

    name: str
    reader: str
    meaning: str
    example: str


BENCH = "bench"
CACHE = Variable(
    "BENCH_CACHE",
    BENCH,
    "The folder of built and fetched models, and of what `bench calibrate` measured; `--cache` goes"
    " over it. Without it, the system's place for caches.",
    "/data/bench",
)
SUMMARY = Variable(
    "GITHUB_STEP_SUMMARY",
    BENCH,
    "The file that `--format github` appends Markdown to; GitHub sets it. Without it, the Markdown"
    " is printed.",
    "summary.md",
)
COMPLETE = Variable(
    "_BENCH_COMPLETE",
    BENCH,
    "Makes `bench` print the completion script of a shell, or answer that script.",
    "bash_source",
)
DEBUG = Variable(
    "BENCH_DEBUG",
    BENCH,
    "Prints the traceback of a fault of `bench` itself (exit code 70), for a report.",
    "1",
)
PLAIN = Variable(
    "NO_COLOR", BENCH, "Tables and progress on a terminal have no colour; rich reads it too.", "1"
)
TERM = Variable(
    "TERM",
    BENCH,
    "`dumb`: lines instead of the view of a run, as where no terminal is; rich reads it too.",
    "dumb",
)
KEY = Variable(
    "BENCH_API_KEY",
    BENCH,
    "The key that a server of `--runtime http://...` asks for: sent to that server alone, over"
    " https where it is another machine, never kept, and in no other child process.",
    "sk-...",
)
MODELS = Variable(
    "BENCH_MODELS",
    BENCH,
    "Folders of models that `bench cell` may look into, separated as in PATH; `--models` goes over"
    " it.",
    "/data/models",
)
MACHINE = Variable(
    "BENCH_MACHINE",
    BENCH,
    "What this machine is called in results of `bench cell`, a word of your own; `--machine` goes"
    " over it. Without it two machines of the same kind count as one.",
    "shelf-3",
)
# The commit that a build service tests, by the names that each gives it.
COMMITS = tuple(
    Variable(
        name, BENCH, f"The commit under test, as {service} says it; `bench ab` keeps it.", "1a2b"
    )
    for name, service in (
        ("GITHUB_SHA", "GitHub"),
        ("CI_COMMIT_SHA", "GitLab"),
        ("BUILDKITE_COMMIT", "Buildkite"),
        ("CIRCLE_SHA1", "CircleCI"),
        ("BUILD_SOURCEVERSION", "Azure"),
        ("BITBUCKET_COMMIT", "Bitbucket"),
        ("GIT_COMMIT", "Jenkins"),
    )
)
# Set for the process that runs an emulated device, and for none else; rows of the device table.
SOFTWARE_ADAPTER = Variable(
    "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER",
    "onnxruntime",
    "Lets `webgpu` run on a software adapter; set by `--allow-simulated`.",
    "1",
)
VULKAN_DRIVERS = Variable(
    "VK_ICD_FILENAMES",
    "Vulkan",
    "The drivers that Vulkan may take; set by `--allow-simulated` to those of lavapipe.",
    "lvp_icd.json",
)
TELEMETRY = Variable(
    "ORT_DISABLE_TELEMETRY",
    "onnxruntime",
    "`1` keeps onnxruntime's wheels from writing a device id and events, and from sending them"
    " inside timed samples. Set for every process that `bench` starts and by `harness.load`, unless"
    " it is set already: `0`, or `--telemetry default`, measures with them.",
    "1",
)
HUB_TELEMETRY = Variable(
    "HF_HUB_DISABLE_TELEMETRY",
    "huggingface_hub",
    "`1` keeps it from telling the hub which version of torch is here and which program has"
    " started it, and from asking for a list of such programs. Set before it is imported, unless"
    " it is set.",
    "1",
)
# What a run says of telemetry: it is off, or as onnxruntime's wheels have it.
OFF, DEFAULT = TELEMETRY_WORDS = ("off", "default")
OURS = (
    *(CACHE, SUMMARY, COMPLETE, DEBUG, PLAIN, TERM, KEY, MODELS, MACHINE, *COMMITS),
    *(SOFTWARE_ADAPTER, VULKAN_DRIVERS, TELEMETRY, HUB_TELEMETRY),
)
OTHERS = (
    Variable(
        "HF_TOKEN",
        "huggingface_hub",
        "Access to private and gated `hf:` models; no child process has it.",
        "hf_...",
    ),
    Variable(
        "HF_HOME",
        "huggingface_hub",
        "Where downloads of `hf:` models are kept before they are copied into the cache.",
        "/data/huggingface",
    ),
    Variable(
        "HF_HUB_OFFLINE",
        "huggingface_hub",
        "Fetches nothing, as `--offline`.",
        "1",
    ),
    Variable("HF_ENDPOINT", "huggingface_hub", "Another hub.", "https://hub.example.org"),
    Variable(
        "COLUMNS", "rich", "Width of the view of a run, where the terminal does not say.", "100"
    ),
    Variable(
        "XDG_CACHE_HOME",
        "platformdirs",
        "On Linux, the folder that holds the cache where BENCH_CACHE is not set.",
        "/data/cache",
    ),
)


def read_variable(variable: Variable) -> str:
    """Return the value of one of OURS; empty where it is not set."""
    return os.environ.get(variable.name, "")


def tested_commit() -> str:
    """The commit that a build service tests; empty: none says."""
    return next((found for one in COMMITS if (found := read_variable(one))), "")


def chosen_cache() -> Path | None:
    """Return the folder that BENCH_CACHE names, or None."""
    chosen = read_variable(CACHE)
    return Path(chosen) if chosen else None


def set_variable(name: str, value: str | None) -> None:
    """Set a variable of OURS for this process and its children; None takes it away.

    Raises:
        KeyError: the table does not have it: a mistake of the caller.
    """
    if name not in {variable.name for variable in OURS}:
        raise KeyError(name)
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def all_variables() -> dict[str, str]:
    """Return a copy of the whole environment."""
    return dict(os.environ)


def child_variables(entrusted: Collection[str] = ()) -> dict[str, str]:
    """Return the environment of a child process: this one's without secrets.

    Telemetry is off in it, unless it is set.

    Args:
        entrusted: names that it needs although they hold a secret.
    """
    return {TELEMETRY.name: "1"} | without_secrets(all_variables(), frozenset(entrusted))


@contextmanager
def telemetry_as(word: str) -> Iterator[None]:
    """Leave telemetry in child processes as onnxruntime has it, where the word is DEFAULT.

    A variable that is set already says more.
    """
    if word == OFF or TELEMETRY.name in os.environ:
        yield
        return
    os.environ[TELEMETRY.name] = "0"
    try:
        yield
    finally:
        del os.environ[TELEMETRY.name]


def keep_quiet() -> None:
    """Switch telemetry off in this process, unless set; before onnxruntime is imported.

    Its own `disable_telemetry_events()` comes too late: a session has written by then
    (onnxruntime 1.32.0).
    """
    os.environ.setdefault(TELEMETRY.name, "1")


def keep_hub_quiet() -> None:
    """Let huggingface_hub tell no more than a request needs, unless set; before it is imported."""
    os.environ.setdefault(HUB_TELEMETRY.name, "1")


def telemetry_is_on() -> bool:
    """Whether children run with onnxruntime's telemetry, by the words that 1.32.0 understands."""
    return child_variables()[TELEMETRY.name].strip().lower() not in ("1", "true", "yes", "on")


def environment_page() -> str:
    """The page docs/environment.md."""
    parts = [
        "# Environment variables",
        "Every variable that `bench` reads or sets, and those of its libraries that change what it"
        " does. Generated from harness/core/environment.py by docs/pages.py. Child"
        " processes get the environment without tokens, keys and passwords (docs/security.md);"
        ' `bench ab --a "NAME=value ..."` sets variables for one side.',
        "## Read or set by bench",
        _table(OURS),
        "## Read by libraries",
        _table(OTHERS),
    ]
    return "\n\n".join(parts) + "\n"


def _table(variables: tuple[Variable, ...]) -> str:
    lines = ["| variable | read by | meaning | example |", "|---|---|---|---|"]
    lines += [
        f"| `{one.name}` | {one.reader} | {one.meaning} | `{one.example}` |" for one in variables
    ]
    return "\n".join(lines)
