"""Environments that differ in one package: made once, in the cache, by uv or by venv and pip.

Each holds what this package depends on in the very versions that are installed here, but for the
one that is asked for. This package itself is not installed in them: all run one copy of the code
that is running now, so that nothing but the package differs.
"""

import hashlib
import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import filelock

from harness.core.errors import StorageError, UsageError
from harness.core.files import ENVIRONMENT_MARK, ENVIRONMENTS, LOCKS, whole_folder, write_whole
from harness.core.records import KINDS, data_folder
from harness.core.units import MIB
from harness.core.version import DISTRIBUTION, NOT_INSTALLED, dependencies, installed_version
from harness.history.installers import Installer

ROOM_BYTES = 300 * MIB  # of one; with onnxruntime 1.32.0 for Linux it is 163 MiB (bench cache)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
VERSION = re.compile(r"[0-9][A-Za-z0-9.!+]*")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Target:
    """One version of a package, which an environment is made of.

    Attributes:
        package: name of the distribution.
        version: of it, or the short hash of a commit.
        source: where the commit is installed from, as installers write it; empty: the index.
    """

    package: str
    version: str
    source: str = ""

    @property
    def name(self) -> str:
        """`onnxruntime 1.32.0`."""
        return f"{self.package} {self.version}"

    @property
    def requirement(self) -> str:
        """What an installer is asked for."""
        if self.source:
            return f"{self.package} @ {self.source}"
        return f"{self.package}=={self.version}"


def read_targets(package: str, text: str) -> tuple[Target, ...]:
    """Read `1.31.0,1.31.1,1.32.0`.

    Raises:
        UsageError: no list of versions, one that is given twice, or a single one.
    """
    flag = f"--onnxruntime {text!r}" if package == "onnxruntime" else f"--package {package}=={text}"
    if not NAME.fullmatch(package):
        raise UsageError(f"{package!r} is no name of a package", fix="--package NAME==1.0,1.1")
    versions = [word.strip() for word in text.split(",") if word.strip()]
    for word in versions:
        if not VERSION.fullmatch(word):
            raise UsageError(f"{flag}: {word!r} is no version", fix="1.31.1,1.32.0")
        if versions.count(word) > 1:
            raise UsageError(f"{flag}: {word} is given twice", fix="each version once")
    if len(versions) < 2:
        raise UsageError(
            f"{flag}: {len(versions)} version{'s' * (not versions)}, and a change lies between two",
            fix="two versions or more, the oldest first: 1.31.1,1.32.0",
        )
    return tuple(Target(package, version) for version in versions)


def requirements_of(target: Target, extra: Sequence[str] = ()) -> tuple[str, ...]:
    """What the environment of a target holds: our dependencies as they are here, and the target.

    Args:
        target: goes over a dependency of that name.
        extra: further requirements, such as `onnxruntime-genai==0.18.0`.
    """
    found = {}
    for line in dependencies():
        name = _name_of(line)
        try:
            found[name] = f"{name}=={metadata.version(name)}"
        except metadata.PackageNotFoundError:
            found[name] = line
    found |= {_name_of(line): line for line in extra}
    found[_name_of(target.package)] = target.requirement
    return tuple(found[name] for name in sorted(found))


def environment_folder(cache: Path, target: Target, requirements: Sequence[str]) -> Path:
    """Where the environment of a target lies: by all that decides what is in it."""
    said = [sys.version, sysconfig.get_platform(), *requirements]
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]
    return cache / ENVIRONMENTS / f"{target.package}-{target.version}-{digest}"


def is_whole(folder: Path) -> bool:
    """Whether an environment was made to its end."""
    return (folder / ENVIRONMENT_MARK).is_file()


def ensure_environment(
    cache: Path, target: Target, requirements: Sequence[str], installer: Installer
) -> Path:
    """Return the environment of a target; it is made where the cache has none.

    What a killed process left of it is removed first.

    Raises:
        DeviceError: it cannot be made.
        StorageError: the disk is full or may not be written.
    """
    folder = environment_folder(cache, target, requirements)
    if is_whole(folder):
        return folder
    try:
        (cache / LOCKS).mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache / LOCKS / f"{folder.name}.lock"):
            if not is_whole(folder):  # another process may have made it meanwhile
                _make(folder, requirements, installer)
    except OSError as error:
        raise StorageError(
            f"the environment of {target.name} cannot be written: {error.strerror}",
            fix="free the disk, or --cache with a folder on another one",
        ) from error
    return folder


def _make(folder: Path, requirements: Sequence[str], installer: Installer) -> None:
    """Make an environment; nothing is left of one that could not be finished."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        installer.install(folder, requirements)
        content = json.dumps({"requirements": list(requirements)}) + "\n"
        write_whole(folder / ENVIRONMENT_MARK, content)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check_space(
    cache: Path, missing: int, free_bytes: Callable[[Path], int] = lambda at: _free_bytes(at)
) -> None:
    """Refuse environments that the disk of the cache has no space for.

    Raises:
        StorageError: with both numbers.
    """
    needed, free = missing * ROOM_BYTES, free_bytes(cache)
    if free < needed:
        raise StorageError(
            f"{missing} environment{'s' * (missing > 1)} need about {needed / MIB:,.0f} MiB in the"
            f" cache; its disk has {free / MIB:,.0f} MiB free",
            fix="free some space, fewer versions, or --cache with a folder on another disk",
        )


def ensure_code(cache: Path) -> Path:
    """Return a folder with this package alone, as it runs now: for the path of other interpreters.

    An environment has its own packages, so the folder that this one lies in cannot be its path.

    Raises:
        StorageError: it cannot be written.
    """
    package = Path(__file__).resolve().parents[1]
    parts = [("harness", package), *((f"harness/_data/{k}", data_folder(k)) for k in KINDS)]
    folder = cache / ENVIRONMENTS / f"code-{_digest([source for _, source in parts])}"
    if (folder / ENVIRONMENT_MARK).is_file():
        return folder
    try:
        with whole_folder(folder, ENVIRONMENT_MARK) as partial:
            for name, source in parts:
                ignored = shutil.ignore_patterns("__pycache__", "_data")
                shutil.copytree(source, partial / name, ignore=ignored, dirs_exist_ok=True)
            _write_metadata(partial)
            write_whole(
                partial / ENVIRONMENT_MARK, json.dumps({"version": installed_version()}) + "\n"
            )
    except OSError as error:
        raise StorageError(
            f"the cache {cache} cannot be written: {error.strerror}",
            fix="free the disk, or --cache with a folder on another one",
        ) from error
    return folder


def _write_metadata(folder: Path) -> None:
    """Say the version where an interpreter looks for it; a bare checkout has none."""
    version = installed_version()
    if version == NOT_INSTALLED:
        return
    place = folder / f"{DISTRIBUTION.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    text = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n"
    (place / "METADATA").write_text(text, encoding="utf-8")


def _digest(folders: Sequence[Path]) -> str:
    """Twelve digits of the content of all files, without what an interpreter writes beside them."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(folder)).encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _name_of(requirement: str) -> str:
    """The name at the head of a requirement, as indexes compare names (PEP 503).

    Raises:
        UsageError: there is none.
    """
    found = _REQUIREMENT.match(requirement)
    if found is None:
        raise UsageError(f"--with {requirement!r} is no requirement", fix="--with NAME==1.0")
    return re.sub(r"[-_.]+", "-", found[1]).lower()


def _free_bytes(folder: Path) -> int:
    """Free space of the disk of a folder that may not be there yet."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free
