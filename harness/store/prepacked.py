"""Built models with the copies that the CPU's kernels make of weights saved beside them.

A kernel packs its weights in an order of its own, which depends on the instructions of the
processor and on the release of ONNX Runtime: both are in the key of such a folder and in its
record.
The graph of every position, which is not timed, stays as it was built, over the same data file.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.builder.graph.rules import WINDOWED_FILE
from harness.builder.quantize.levels import Variant, find_level
from harness.core.errors import DeviceError, StorageError, UsageError
from harness.core.units import MIB
from harness.engine.reading import PREPACKED_DATA
from harness.machine.process.worker import Worker
from harness.machine.watch.kernels import KernelSet, kernels_here
from harness.store.artifact import RECORD_FILE, Artifact, Prepacked, read_artifact, write_record
from harness.store.built import SavedCopies
from harness.store.cache import BUILD_MODULE, note_use, partial_folder, sole_builder
from harness.store.hashes import HASH_DIGITS
from harness.store.links import link_file
from harness.store.locks import ELSEWHERE

WORD = "prepacked"  # in the names of folders
VERSION = "3"  # raise it with any change of what is written
# Of the weights of a build, at most: floats of 2 bytes become 4, and lie there twice. A tied
# head lies there beside its table; of gemma-3-270m it is two thirds of the weights.
ROOM = {"integers": 3.3, "floats of 4 bytes": 2.9, "floats of 2 bytes": 4.8}


def ensure_prepacked(base: Artifact, cache: Path, timeout_s: float = 1800) -> Artifact:
    """Return a built model with its kernels' copies saved, saving them first where they are not.

    Args:
        base: as it was built.
        cache: folder of built models.
        timeout_s: limit of waiting for another process, and then of the work.

    Raises:
        UsageError: static graphs, which are for other devices.
        DeviceError: no kernel of this machine saves its copies of this model.
        StorageError: a cache that cannot be written, or a full disk.
        WorkerError: the child failed.
    """
    refuse_static(base.level)
    kernels = kernels_here()
    key = _key(base, kernels)
    folder = cache / f"{base.folder.name.removesuffix(base.content_hash)}{WORD}-{key}"
    found = _whole(folder, base)
    if found is not None:
        note_use(folder)
        return found
    with sole_builder(cache, folder, timeout_s):
        found = _whole(folder, base)
        if found is not None:
            return found
        _check_room(base, cache)
        with partial_folder(folder) as partial:
            made = _save(base, partial, kernels, timeout_s)
            artifact = replace(
                base,
                folder=folder,
                content_hash=key,
                prepacked=Prepacked(kernels.instructions, kernels.onnxruntime, made.saved_bytes),
                build_seconds=made.build_seconds,
                build_peak_bytes=made.build_peak_bytes,
            )
            write_record(artifact, partial)
    return artifact


def refuse_static(level: str) -> None:
    """Refuse levels of static graphs.

    Raises:
        UsageError: it is one.
    """
    if find_level(level).variant is Variant.STATIC:
        raise UsageError(
            f"{level} is built as static graphs for other devices, whose kernels save no copies",
            fix="--prepack off, or a level of `bench levels` that the CPU runs",
        )


def refuse_elsewhere(artifact: Artifact, here: KernelSet | None = None) -> None:
    """Refuse a folder whose copies were saved by other kernels than this machine has.

    They would be made anew at each load and lie there besides: neither form would be measured.

    Raises:
        DeviceError: with both sets of kernels, and how it is made here.
    """
    saved = artifact.prepacked
    if saved is None:
        return
    kernels = here or kernels_here()
    theirs = KernelSet(saved.instructions, saved.onnxruntime)
    if theirs != kernels:
        raise DeviceError(
            f"{artifact.folder.name} was prepacked for {theirs}; here are {kernels}",
            fix=f'harness.build("{artifact.name}", "{artifact.level}", prepacked=True) on this'
            " machine, or the folder without prepacked copies",
        )


def _key(base: Artifact, kernels: KernelSet) -> str:
    """Digest of the build and of the kernels."""
    parts = (VERSION, base.content_hash, kernels.onnxruntime, *kernels.instructions)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:HASH_DIGITS]


def _whole(folder: Path, base: Artifact) -> Artifact | None:
    """Return what lies in `folder`, under today's name and spec; None: nothing, or not all."""
    try:
        return replace(read_artifact(folder), name=base.name, spec=base.spec)
    except StorageError:
        return None


def _check_room(base: Artifact, cache: Path) -> None:
    """Refuse where the disk has no space for weights and copies.

    Raises:
        StorageError: with both numbers.
    """
    level = find_level(base.level)
    floats = f"floats of {level.float_bytes} bytes"
    needed_bytes = base.weights_bytes * ROOM["integers" if level.has_integers else floats]
    free_bytes = shutil.disk_usage(cache).free
    if free_bytes < needed_bytes:
        raise StorageError(
            f"{base.name} at {base.level} with its prepacked copies needs"
            f" {needed_bytes / MIB:,.0f} MiB in the cache; its disk has"
            f" {free_bytes / MIB:,.0f} MiB free",
            fix=f"free some space, leave --prepack on out, or {ELSEWHERE}",
        )


def _save(base: Artifact, partial: Path, kernels: KernelSet, timeout_s: float) -> SavedCopies:
    """Write the timed graph with its copies, and link all other files of the build.

    Raises:
        DeviceError: nothing was saved.
    """
    with Worker.start(BUILD_MODULE) as worker:
        made = worker.ask(
            "prepack",
            timeout_s,
            SavedCopies,
            graph=str(base.graph),
            to=str(partial / base.graph.name),
            data=PREPACKED_DATA,
            layers=list(base.geometry.sliding_layers),
        )
    if not made.saved_bytes:
        raise DeviceError(
            f"no kernel of this machine saves its copies of {base.name} at {base.level}: {kernels}",
            fix="--prepack off, or parallel for a faster load",
        )
    for file in _others(base):
        link_file(file, partial / file.name)
    return made


def _others(base: Artifact) -> Sequence[Path]:
    """Files of a build that stay as they are; the data only where another graph reads it."""
    anew = (base.graph.name, WINDOWED_FILE, RECORD_FILE)
    kept = [file for file in base.files if file.name not in anew]
    return kept if len(kept) > 1 else [file for file in kept if file != base.data]
