"""The child process that reads exported models: a parser that fails costs one model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError, StorageError

# What reading a damaged file raises in libraries and in ours, where no check met it before.
_DAMAGED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


def recognise(path: str, cache: str, free_bytes: int | None) -> dict[str, Any]:
    """Recognise one model.

    Args:
        path: of a graph or a folder.
        cache: folder of built models.
        free_bytes: memory that a new process could take; None: unknown.

    Returns:
        What harness.models.exported.model.to_json makes of the record.

    Raises:
        UsageError: no model there, or several.
        ModelError: damaged, unsafe, too large, or not recognised.
        StorageError: links cannot be replaced by files in the cache.
    """
    from harness.models.exported.files import find_files
    from harness.models.exported.model import to_json

    found = find_files(Path(path))
    try:
        return to_json(_recognise(found, Path(cache), free_bytes))
    except _DAMAGED as error:
        raise ModelError(
            f"{found.name} cannot be understood: {type(error).__name__}: {str(error)[:160]}",
            fix="download or export the model again",
        ) from error


def quantize(path: str, cache: str, level: str, folder: str) -> None:
    """Write every graph of a recognised model at a level into a folder.

    Args:
        path: as of recognise, which took the same files.
        cache: folder of built models.
        level: a key of harness.builder.quantize.exported.EXPORTED_LEVELS.
        folder: receives graphs, data and configuration files.

    Raises:
        HarnessError: as quantize_graph.
        StorageError: the disk ran full or cannot be written.
    """
    import shutil

    from harness.builder.quantize.exported import quantize_graph
    from harness.models.exported.files import find_files
    from harness.models.exported.loading import load_whole
    from harness.store.exported_links import without_links

    found, target = without_links(find_files(Path(path)), Path(cache)), Path(folder)
    try:
        for name in found.graphs.values():
            model = load_whole(found.folder / name, f"{found.name}/{name}")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            quantize_graph(model, level, target / name)
        for source in reversed(found.config_folders):
            for file in source.glob("*.json"):
                shutil.copyfile(file, target / file.name)
    except OSError as error:
        raise StorageError(
            f"{found.name} could not be written at {level}: {error.strerror}",
            fix="free space on the cache's disk, or choose another cache: --cache DIR",
        ) from error


COMMANDS: Mapping[str, Callable[..., Any]] = {"recognise": recognise, "quantize": quantize}


def _recognise(found: Any, cache: Path, free_bytes: int | None) -> Any:
    """Return the record of a model."""
    from harness.devices.operators import known_operators, nodes_loaded, opens
    from harness.engine.exported.causality import is_causal
    from harness.models.exported.recognise import recognise as read
    from harness.models.exported.safety import check_memory
    from harness.models.exported.versions import Runtime
    from harness.store.exported_links import without_links

    paths = [found.folder / name for name in found.graphs.values()]
    graph_bytes = sum(path.stat().st_size for path in paths if path.is_file())
    check_memory(graph_bytes, free_bytes, found.name)
    known = known_operators()

    def fits(model: Any) -> None:
        data_bytes = sum(file.size_bytes for file in model.data_files)
        check_memory(graph_bytes + data_bytes, free_bytes, found.name)

    def probe(model: Any) -> bool | None:
        fits(model)
        return is_causal(model)

    runtime = Runtime(
        known.version, known.opset, known.names, opens, known.has_kernel, nodes_loaded
    )
    model = read(without_links(found, cache), runtime, probe)
    fits(model)
    return model
