"""Models that others exported, from a path to their record."""

from pathlib import Path

from harness.foreign.model import ForeignModel, from_json
from harness.measure.worker import Worker

FOREIGN_MODULE = "harness.artifacts.foreign_worker"


def open_foreign(
    path: Path, cache: Path, free_bytes: int | None = None, timeout_s: float = 600
) -> ForeignModel:
    """Recognise the model at `path` in a process of its own.

    Args:
        path: a .onnx file, or a folder with one; see harness.foreign.files.
        cache: folder of built models; links of the model become files there.
        free_bytes: memory that a new process could take; None: unknown, so nothing is refused.
        timeout_s: limit of reading, the digest of all data included.

    Raises:
        WorkerError: with the words and exit code of the child's own error: no model there, or a
            model that is damaged, unsafe, too large, of another version or not recognised. Status
            `crashed` or `timeout` where a parser met its end.
    """
    with Worker.start(FOREIGN_MODULE) as worker:
        asked = {"path": str(path), "cache": str(cache), "free_bytes": free_bytes}
        return from_json(worker.ask("recognise", timeout_s, **asked))
