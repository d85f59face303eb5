"""The store of built models: one folder per content, whole or not there at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.builder.graph.rules import DATA_FILE, GENAI_FILE, WINDOWED_FILE
from harness.builder.graph.static.geometry import AnyShapes
from harness.builder.quantize.layout import stored_arrays, stored_bytes
from harness.builder.quantize.levels import (
    AUTO,
    STATIC_FLOAT,
    WRITER_LEVEL,
    QuantLevel,
    find_level,
    own_cache,
)
from harness.core.environment import chosen_cache
from harness.core.errors import StorageError, WorkerError
from harness.core.files import remove_partial_folders, settle_folder, whole_folder
from harness.core.units import KIB, MIB
from harness.machine.process.worker import Worker
from harness.models.specs.model import AnySpec
from harness.models.weights.source import ModelSource
from harness.store.artifact import (
    Artifact,
    describe_artifact,
    read_artifact,
    write_record,
)
from harness.store.built import Built
from harness.store.hashes import is_compensated
from harness.store.links import link_file
from harness.store.locks import ELSEWHERE, sole_maker, unwritable
from harness.store.request import BuildRequest, build_request

BUILD_MODULE = "harness.store.build_worker"
GRAPH_ROOM_BYTES = 16 * MIB  # two graph files: under 1 MB each for the models we know
ALIGNMENT_BYTES = 4 * KIB


def default_cache() -> Path:
    """Return the folder of built models: BENCH_CACHE, else the system's place for caches."""
    chosen = chosen_cache()
    if chosen is not None:
        return chosen
    import platformdirs

    return platformdirs.user_cache_path("ondevice-bench")


def ensure_artifact(
    source: ModelSource,
    level: str,
    cache: Path,
    seed: int = 0,
    timeout_s: float = 1800,
    kv_cache: str = AUTO,
    shapes: AnyShapes | None = None,
) -> Artifact:
    """Return the model built at `level`, building it first where the cache has no whole copy.

    With another KV cache than the level's own, graphs of their own lie over the same data: that of
    the model as built with its own cache, which is built first where it is missing.

    Two processes may ask for the same model at once: one builds, the other waits. A build that
    fails or is interrupted leaves nothing behind.

    Args:
        source: the model.
        level: name of the quantization level.
        cache: folder of built models; made where it is missing.
        seed: of seeded weights.
        timeout_s: limit of waiting for another process, and then of the build.
        kv_cache: name of a cache level.
        shapes: what a static level is built for; other levels have none.

    Raises:
        UsageError: an unknown level, a static one without shapes, a negative seed, a cache that the
            level's kernel does not take, or a calibration text that cannot be read.
        ModelError: an architecture that cannot be built, or a checkpoint that cannot be read.
        StorageError: a cache that cannot be written, or a full disk.
        WorkerError: the build failed; a HarnessError in it keeps its words and exit code.
    """
    request = build_request(source, level, seed, kv_cache, shapes)
    return ensure_built(request, cache, timeout_s)


def ensure_built(request: BuildRequest, cache: Path, timeout_s: float = 1800) -> Artifact:
    """Return what is asked for, building it first where the cache has no whole copy.

    Arguments and errors are those of ensure_artifact.
    """
    folder = cache / request.folder_name
    found = _read_whole(folder, request)
    if found is not None and not _lacking(found):
        note_use(folder)
        return found
    with sole_builder(cache, folder, timeout_s):
        found = _read_whole(folder, request)  # another process may have built it meanwhile
        if found is not None:
            if _lacking(found):
                _add_lacking(found, request, timeout_s)
            return found
        with partial_folder(folder) as partial:
            spent = _fill(partial, request, cache, timeout_s)
            artifact = describe_artifact(request, folder, *spent)
            write_record(artifact, partial)
    return artifact


def note_use(folder: Path) -> None:
    """Note that a whole folder is taken: `bench cache` tells when that was last."""
    with suppress(OSError):  # a cache that is read only
        os.utime(folder)


def check_room(spec: AnySpec, level: QuantLevel, cache: Path) -> None:
    """Refuse a build that the disk of `cache` has no space for.

    A level of fixed points is built from floats that lie beside it until their ranges are known.

    Raises:
        StorageError: with both numbers.
    """
    needed_bytes = stored_bytes(spec, level) + GRAPH_ROOM_BYTES
    needed_bytes += ALIGNMENT_BYTES * sum(1 for _ in stored_arrays(spec, level))
    if level.fixed_point:
        needed_bytes += stored_bytes(spec, find_level(STATIC_FLOAT))
    check_bytes(f"{spec.name} at {level.name}", needed_bytes, cache)


def check_bytes(what: str, needed_bytes: int, cache: Path) -> None:
    """Refuse a build of so many bytes that the disk of `cache` has no space for.

    Raises:
        StorageError: with both numbers.
    """
    free_bytes = shutil.disk_usage(cache).free
    if free_bytes < needed_bytes:
        raise StorageError(
            f"{what} needs {needed_bytes / MIB:,.0f} MiB in the cache;"
            f" its disk has {free_bytes / MIB:,.0f} MiB free",
            fix=f"free some space, or {ELSEWHERE}",
        )


def _fill(partial: Path, request: BuildRequest, cache: Path, timeout_s: float) -> tuple[float, int]:
    """Put the files of a build into `partial`; returns seconds and peak bytes of its process."""
    asked, source = {**request.to_json(), "folder": str(partial)}, request.source
    if request.shapes is not None:
        check_room(source.spec, request.level, cache)
        return _ask_child("build_static", timeout_s, asked)
    if request.has_own_cache:
        if is_compensated(source, request.level):
            writer = ensure_artifact(source, WRITER_LEVEL, cache, request.seed, timeout_s)
            asked["writer"] = str(writer.graph)
        check_room(source.spec, request.level, cache)
        return _ask_child("build", timeout_s, asked)
    own = replace(request, cache=own_cache(request.level))
    base = ensure_built(own, cache, timeout_s)
    link_file(base.folder / DATA_FILE, partial / DATA_FILE)
    return _ask_child(
        "build_cache", timeout_s, {**asked, "cache": request.cache.name, "base": str(base.graph)}
    )


def _ask_child(command: str, timeout_s: float, asked: dict[str, Any]) -> tuple[float, int]:
    """Build in a process of its own; returns its seconds and peak bytes."""
    with Worker.start(BUILD_MODULE) as worker:
        built = worker.ask(command, timeout_s, Built, **asked)
    return built.build_seconds, built.build_peak_bytes


def _read_whole(folder: Path, request: BuildRequest) -> Artifact | None:
    """Return the artifact in `folder`, or None where it is absent or damaged.

    What only describes the model (its name, its licence) is today's, not that of the build, and so
    is what is known of its graphs.
    """
    source = request.source
    try:
        found = read_artifact(folder)
        return replace(found, name=source.name, spec=source.spec, geometry=request.geometry)
    except StorageError:
        return None


def _lacking(artifact: Artifact) -> list[str]:
    """Files that a decoder has today and a folder that was built earlier has not.

    The graph over caches of windows, and the configuration of a model that keeps states.
    """
    wanted = {WINDOWED_FILE: bool(artifact.geometry.sliding_layers)}
    wanted[GENAI_FILE] = artifact.geometry.state_bytes > 0
    present = {path.name for path in artifact.files}
    return [name for name, is_wanted in wanted.items() if is_wanted and name not in present]


def _add_lacking(artifact: Artifact, request: BuildRequest, timeout_s: float) -> None:
    """Write those files beside the others; a cache that cannot be written stays as it is."""
    asked = {
        "source": request.to_json()["source"],
        "level": request.level.name,
        "folder": str(artifact.folder),
        "files": _lacking(artifact),
        "layers": artifact.geometry.sliding_layers,
    }
    with suppress(StorageError, WorkerError):
        _ask_child("add_files", timeout_s, asked)


def sole_builder(cache: Path, folder: Path, timeout_s: float) -> AbstractContextManager[None]:
    """Hold the lock under which `folder` is built; see harness.store.locks.sole_maker."""
    return sole_maker(cache, folder.name, timeout_s, f"building {folder.name}")


@contextmanager
def partial_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to build in, which replaces `folder` when it is finished.

    Its files are then as they would be after a restart: on the disk, and not in memory.
    Copies left by a process that was killed are removed first: the lock says nobody builds.
    """
    remove_partial_folders(folder)
    try:
        with whole_folder(folder) as partial:
            yield partial
            settle_folder(partial)
    except OSError as error:
        raise unwritable(folder.parent, error) from error
