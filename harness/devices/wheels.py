"""Broken mixes of onnxruntime distributions: several own one package, and pip says all is well."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec

from harness.core.errors import HarnessError
from harness.core.findings import ERROR, OK, Finding
from harness.devices.probe import TIMEOUT_S, WORKER_MODULE
from harness.devices.row import RUNTIME
from harness.machine.process.worker import Worker

OLDEST = (1, 31)  # older ones do not record all nodes of plugin providers
# Wheels without plugins, whose own provider is recorded in full from an older version on.
OLDEST_OF = {"onnxruntime-openvino": (1, 24)}
CHECK = "onnxruntime wheels"


@dataclass(frozen=True, slots=True)
class Runtime:
    """The onnxruntime that a child process gets.

    Attributes:
        version: what the package says of itself; None: it cannot be imported.
        providers: compiled into it.
        problem: why it cannot be imported.
    """

    version: str | None
    providers: tuple[str, ...] = ()
    problem: str | None = None


def check_wheels() -> list[Finding]:
    """Look at the distributions that own `onnxruntime`, its libraries, and what a child imports."""
    owners = metadata.packages_distributions().get(RUNTIME, [])
    versions = {name: metadata.version(name) for name in sorted(set(owners))}
    return list(judge_wheels(versions, _libraries(versions), ask_runtime()))


def judge_wheels(
    versions: Mapping[str, str], libraries: Sequence[str], runtime: Runtime
) -> Iterator[Finding]:
    """Say what is wrong with a mix, or that it is sound.

    Args:
        versions: of every distribution that owns the package `onnxruntime`.
        libraries: names of the runtime's shared libraries in that package.
        runtime: what a child gets when it imports it.
    """
    problems = [
        *_several_owners(versions),
        *_not_importable(versions, runtime),
        *_other_version(versions, runtime),
        *_several_libraries(versions, libraries),
        *_too_old(versions, runtime),
    ]
    for detail, fix in problems:
        yield Finding(CHECK, ERROR, detail, fix)
    if not problems:
        (name,) = versions or (RUNTIME,)
        providers = ", ".join(runtime.providers)
        yield Finding(CHECK, OK, f"{name} {runtime.version}, providers: {providers}")


class RuntimeReply(msgspec.Struct, frozen=True, kw_only=True):
    """An onnxruntime that was imported: its version and its providers."""

    version: str
    providers: tuple[str, ...]


def ask_runtime() -> Runtime:
    """Import onnxruntime in a child: a broken one may end the process."""
    try:
        with Worker.start(WORKER_MODULE) as worker:
            reply = worker.ask("runtime", TIMEOUT_S, RuntimeReply)
    except HarnessError as error:
        return Runtime(None, problem=error.problem)
    return Runtime(reply.version, reply.providers)


Problems = Iterator[tuple[str, str]]  # what is wrong, what to do


def _several_owners(versions: Mapping[str, str]) -> Problems:
    if len(versions) > 1:
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield (
            f"{len(versions)} distributions own the package onnxruntime: {listed}",
            _again(versions),
        )


def _not_importable(versions: Mapping[str, str], runtime: Runtime) -> Problems:
    if not versions:
        yield "no distribution of onnxruntime is installed", "pip install 'onnxruntime>=1.31'"
    elif runtime.version is None:
        yield f"onnxruntime cannot be imported: {runtime.problem}", _again(versions)


def _other_version(versions: Mapping[str, str], runtime: Runtime) -> Problems:
    if runtime.version is not None and versions and runtime.version not in versions.values():
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield f"onnxruntime says it is {runtime.version}, pip says {listed}", _again(versions)


def _several_libraries(versions: Mapping[str, str], libraries: Sequence[str]) -> Problems:
    if len(libraries) > 1:
        yield (
            f"onnxruntime holds {len(libraries)} runtimes: {', '.join(libraries)}",
            _again(versions),
        )


def _too_old(versions: Mapping[str, str], runtime: Runtime) -> Problems:
    name = next(iter(versions), RUNTIME)
    oldest = OLDEST_OF.get(name, OLDEST)
    if runtime.version is not None and _number(runtime.version) < oldest:
        yield (
            f"onnxruntime {runtime.version} does not say where all nodes run",
            f"pip install --upgrade '{name}>={oldest[0]}.{oldest[1]}'",
        )


def _again(versions: Mapping[str, str]) -> str:
    """Take all away, then install the one that is wanted."""
    names = " ".join(versions)
    wanted = " or ".join(f"`pip install {name}`" for name in versions)
    return f"pip uninstall -y {names}, then {wanted}, the one for your device"


def _number(version: str) -> tuple[int, ...]:
    """Major and minor of a version; what is no number counts 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split(".")[:2])


def _libraries(versions: Mapping[str, str]) -> list[str]:
    """Shared libraries of the runtime itself, each version under a name of its own on Linux."""
    found: set[str] = set()
    for name in versions:
        folder = Path(str(metadata.distribution(name).locate_file("onnxruntime/capi")))
        found.update(path.name for path in folder.glob("libonnxruntime.so.*"))
    return sorted(found)
