"""What the other machine has, and an environment of bench there: made once by content, kept.

The interpreter that is asked for is taken as it is where it has bench of this version; else an
environment is made of it, with the wheel of the files that run here and its dependencies: from the
package index, or, where the host reaches none, from wheels that are downloaded here for its Python.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from harness.core.environment import child_variables
from harness.core.errors import DeviceError
from harness.core.units import MIB
from harness.core.version import installed_version
from harness.fleet.remote.failures import last_words
from harness.fleet.remote.target import ADB, Target
from harness.fleet.remote.wheel import Wheel, own_wheel
from harness.fleet.remote.wire import Log, Wire

OLDEST = (3, 11)
NAMES = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
HOME_FOLDER = ".cache/ondevice-bench-fleet"
# Of adb, which has no home: the first that may be written.
ADB_FOLDERS = ("/data/local/tmp", "/var/tmp", "/tmp")
ROOM_BYTES = 400 * MIB  # of an environment with its wheels; with onnxruntime 1.32.0 it is 200 MiB
PINNED = ("onnxruntime",)  # the version that is here: what moves the numbers
INDEX_SAYS = ("Could not find a version", "No matching distribution")
ANDROID = (
    "adb's own user runs no Python on Android: a Linux in Termux with its ssh server, then"
    " --on ssh:... (docs/fleet.md), or --remote-python with one that runs for this user"
)
DOWNLOAD_S = 1800.0
OTHER = "--remote-python with the path of another one"
INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY")


@dataclass(frozen=True, slots=True)
class Host:
    """What a machine answered.

    Attributes:
        version: of its Python.
        executable: path of it there.
        is_android: it is Android's.
        free_bytes: of the disk of its folder of bench.
        installed: version of bench that this Python has; empty: none.
        has_venv: it can make an environment.
        platforms: that wheels for it are of, the best first.
        environment: name of the folder of its environment.
        is_ready: the environment is there.
        models: folders of models that were brought whole.
    """

    version: tuple[int, ...]
    executable: str
    is_android: bool
    free_bytes: int
    installed: str
    has_venv: bool
    platforms: tuple[str, ...]
    environment: str
    is_ready: bool
    models: tuple[str, ...] = ()


def open_wire(target: Target, python: str | None) -> Wire:
    """Find the Python of a machine and the place of bench's files there.

    Args:
        target: the machine.
        python: name or path of its interpreter; None: the first of NAMES that is new enough.

    Raises:
        DeviceError: it cannot be reached, has no Python, or one that is too old.
    """
    names = NAMES if python is None else (python,)
    answers = Wire(target).ask_shell(_choosing_script(names), "looking for its Python")
    found = [(names[one["name"]], _numbers(one["version"])) for one in answers if "name" in one]
    folders = [one["folder"] for one in answers if "folder" in one]
    new_enough = [name for name, version in found if version >= OLDEST]
    if not new_enough:
        raise _no_python(target, python, [version for _, version in found])
    if target.kind == ADB and not folders:
        raise DeviceError(
            f"{target.name} has no folder that adb's user may write",
            fix=f"one of {', '.join(ADB_FOLDERS)} on it",
        )
    folder = HOME_FOLDER if target.kind != ADB else f"{ADB_FOLDERS[folders[0]]}/bench-fleet"
    return replace(Wire(target), python=new_enough[0], folder=folder)


def ensure_bench(
    wire: Wire, work: str, say: Log, models: Mapping[str, Path] = MappingProxyType({})
) -> str:
    """Return an interpreter of the machine that has bench, and make the folders of `work` there.

    Args:
        wire: to it.
        work: folder of the cells and results, below that of bench.
        say: what takes its time.
        models: folder below that of bench -> the model here that has to lie in it.

    Raises:
        DeviceError: no environment can be made there; says why.
    """
    wheel = own_wheel()
    requirements = _pinned()
    host = _ask_host(wire, work, f"{wheel.digest}{_digest(requirements)}", tuple(models))
    for folder, model in models.items():
        if folder not in host.models:
            say(f"{wire.target.name}: bringing {model.name}")
            wire.push(model.parent, [model.name], folder)
            wire.ask("keep", "bringing a model", name=folder)
    if host.installed == installed_version():
        return wire.python
    if not host.is_ready:
        _check_host(wire, host)
        say(f"{wire.target.name}: making an environment of Python {_dotted(host.version)}")
        _push_wheel(wire, wheel)
    said: dict[str, Any] = {
        "name": host.environment,
        "wheel": f"wheels/{wheel.name}",
        "requirements": [] if host.is_android else requirements,
    }
    done = _install(wire, said)
    if done.get("failed") == "pip" and not host.is_android and _needs_index(done["said"]):
        say(f"{wire.target.name} reaches no package index: its wheels are downloaded here")
        with TemporaryDirectory() as folder:
            _download(host, requirements, Path(folder))
            wire.push(Path(folder), ["links"], "")
        done = _install(wire, said | {"links": "links"})
    if "python" not in done:
        raise _not_made(wire, host, done)
    return str(done["python"])


def _ask_host(wire: Wire, work: str, digest: str, models: tuple[str, ...]) -> Host:
    said = {"folders": [work, f"{work}/out", "wheels", *models], "models": models}
    answers = wire.ask("facts", "asking its Python", digest=digest, **said)
    if "version" not in answers[0]:
        raise DeviceError(
            f"no files can be kept on {wire.target.name}: {answers[0].get('said', '')}",
            fix=f"free its disk, or make ~/{HOME_FOLDER} there a folder that may be written"
            if wire.target.kind != ADB
            else f"free its disk, or let adb's user write {wire.folder}",
        )
    known = {name: answers[0][name] for name in Host.__dataclass_fields__}
    listed = {name: tuple(known[name]) for name in ("version", "platforms", "models")}
    return Host(**(known | listed))


def _install(wire: Wire, said: dict[str, Any]) -> dict[str, Any]:
    """Make the environment, or find it; what the host answered last."""
    answers = wire.ask("install", "making an environment", **said)
    return answers[-1]


def _check_host(wire: Wire, host: Host) -> None:
    """Refuse a host that no environment can be made on.

    Raises:
        DeviceError: says what it lacks.
    """
    if not host.has_venv:
        raise DeviceError(
            f"Python {_dotted(host.version)} of {wire.target.name} cannot make environments",
            fix=f"its package of venv (Debian and Ubuntu: python3-venv), or {OTHER}",
        )
    if host.free_bytes < ROOM_BYTES:
        raise DeviceError(
            f"an environment needs about {ROOM_BYTES / MIB:,.0f} MiB, and the disk of"
            f" {wire.target.name} has {host.free_bytes / MIB:,.0f} MiB free",
            fix=f"free its disk, or --remote-python with a Python that has bench"
            f" {installed_version()}",
        )


def _push_wheel(wire: Wire, wheel: Wheel) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder) / "wheels"
        place.mkdir()
        (place / wheel.name).write_bytes(wheel.packed())
        wire.push(Path(folder), ["wheels"], "")


def _download(
    host: Host,
    requirements: list[str],
    folder: Path,
    run: Callable[..., "subprocess.CompletedProcess[str]"] = subprocess.run,
) -> None:
    """Download what bench depends on, for the Python of a host, into `links` of a folder.

    Raises:
        DeviceError: it cannot be downloaded.
    """
    from harness.core.version import dependencies

    version = ".".join(map(str, host.version[:2]))
    said = f"-m pip download -q --only-binary=:all: --implementation cp --python-version {version}"
    platforms = [word for one in host.platforms for word in ("--platform", one)]
    words = [sys.executable, *said.split(), *platforms, "-d", str(folder / "links")]
    words += [*dependencies(), *requirements]
    variables = child_variables(INDEX_VARIABLES) | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = run(
        words, capture_output=True, text=True, errors="replace", env=variables,
        timeout=DOWNLOAD_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DeviceError(
            f"wheels for Python {_dotted(host.version)} on {host.platforms[0]} cannot be"
            f" downloaded here: {last_words(done.stderr)}",
            fix="the network and pip of this Python, or --remote-python with one that has bench",
        )


def _not_made(wire: Wire, host: Host, done: dict[str, Any]) -> DeviceError:
    """Why there is no environment."""
    said, name = last_words(str(done.get("said", ""))), wire.target.name
    if "No space left" in str(done.get("said", "")):
        return DeviceError(f"the disk of {name} is full: {said}", fix=f"free ~/{HOME_FOLDER} there")
    fix = "see what its pip says by hand, or --remote-python with a Python that has bench"
    if host.is_android:
        fix = "docs/fleet.md says what Termux has, and what runs in a Linux inside it"
    return DeviceError(f"no environment can be made on {name}: {said}", fix=fix)


def _no_python(target: Target, asked: str | None, versions: list[tuple[int, ...]]) -> DeviceError:
    """No Python there, none of that name, or one that is too old."""
    oldest = _dotted(OLDEST)
    if versions:
        newest = _dotted(max(versions))
        return DeviceError(
            f"Python of {target.name} is {newest}, and {oldest} is the oldest that will do",
            fix=f"a newer one there, and {OTHER}",
        )
    if asked is not None:
        return DeviceError(
            f"{target.name} has no Python {asked!r}", fix=f"its path there: {target.kind} finds it"
        )
    fix = f"Python {oldest} or newer there; where PATH of ssh lacks it: {OTHER}"
    return DeviceError(f"{target.name} has no Python", fix=ANDROID if target.kind == ADB else fix)


def _choosing_script(names: tuple[str, ...]) -> str:
    """Ask each name for its version, and which folders may be written; a POSIX shell's."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    lines = [
        f"v=$({shlex.quote(name)} -c {shlex.quote(code)} 2>/dev/null </dev/null) &&"
        f' echo \'@bench {{"name": {number}, "version": "\'"$v"\'"}}\''
        for number, name in enumerate(names)
    ]
    lines += [
        f"[ -w {shlex.quote(folder)} ] && echo '@bench {{\"folder\": {number}}}'"
        for number, folder in enumerate(ADB_FOLDERS)
    ]
    return "{\n" + "\n".join(lines) + "\necho '@bench {\"asked\": true}'\nexit 0\n}\n"


def _needs_index(said: str) -> bool:
    """Whether pip failed because it found nothing: no network, or an index that is not there."""
    return any(words in said for words in INDEX_SAYS) or "onnection" in said


def _pinned() -> list[str]:
    """The requirements that are the version of here."""
    return [f"{name}=={metadata.version(name)}" for name in PINNED]


def _digest(requirements: list[str]) -> str:
    """Eight digits of requirements."""
    import hashlib

    return hashlib.sha256(json.dumps(requirements).encode()).hexdigest()[:8]


def _numbers(text: str) -> tuple[int, ...]:
    """`3.11` as numbers; of what is no version none."""
    parts = text.strip().split(".")
    return tuple(int(part) for part in parts) if all(p.isdigit() for p in parts) else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
