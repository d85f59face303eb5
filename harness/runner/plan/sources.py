"""What a word for a model means: one that is built here, or one that others exported."""

from functools import cache
from pathlib import Path

from harness.models.exported.files import is_exported
from harness.models.exported.source import ExportedSource
from harness.models.specs.encoder import EncoderSpec
from harness.models.weights.source import ModelSource, existing, is_built_here, resolve_model
from harness.store.cache import default_cache
from harness.store.exported import open_exported

AnySource = ModelSource | ExportedSource


def find_source(argument: str, folder: Path | None = None) -> AnySource:
    """Find the model that `argument` means.

    A name of the catalog comes first, then a folder of safetensors, then exported files, which a
    process of its own looks at.

    Args:
        argument: what the user typed.
        folder: of built models, where links of an exported model become files; None: the usual.

    Raises:
        UsageError: nothing of these.
        ModelError, WorkerError: files that cannot be used.
    """
    path = None if is_built_here(argument) else existing(argument)
    if path is None or not is_exported(path):
        return resolve_model(argument)
    return _recognised(argument, path, folder or default_cache())


@cache
def _recognised(argument: str, path: Path, folder: Path) -> ExportedSource:
    """Look at exported files, once in this process."""
    return ExportedSource(argument, open_exported(path, folder))


def is_encoder(source: AnySource) -> bool:
    """Whether a model that is built here embeds texts instead of continuing them."""
    return isinstance(source, ModelSource) and isinstance(source.spec, EncoderSpec)
