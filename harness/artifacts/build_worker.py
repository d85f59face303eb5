"""The child process that builds one model: its memory and its crashes are its own."""

import errno
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StorageError
from harness.measure.memory import memory_mark

if TYPE_CHECKING:
    from harness.graph.genai import TokenIds

_START = memory_mark()  # before numpy and onnx: what a build needs includes them


def build(source: dict[str, Any], level: str, seed: int, folder: str) -> dict[str, Any]:
    """Build one model into an empty folder.

    Args:
        source: the fields of a ModelSource, paths as text.
        level: name of the quantization level.
        seed: of seeded weights.
        folder: receives the files.

    Returns:
        `build_seconds`, `build_peak_bytes` above the start of this process.

    Raises:
        ModelError: the weights or the architecture cannot be built.
        StorageError: the disk ran full or cannot be written.
    """
    import msgspec

    from harness.graph.decoder import build_decoder
    from harness.graph.encoder import build_encoder
    from harness.quantize.levels import find_level
    from harness.specs.encoder import EncoderSpec, spec_type
    from harness.weights.opening import open_weights
    from harness.weights.source import ModelSource

    fields = source["spec"]
    spec = msgspec.convert(fields, spec_type(fields["family"]))
    home = None if source["folder"] is None else Path(source["folder"])
    model = ModelSource(source["argument"], source["name"], spec, home)
    begin_s = time.perf_counter()
    try:
        weights = open_weights(model, seed)
        if isinstance(spec, EncoderSpec):
            build_encoder(spec, find_level(level), weights, Path(folder))
        else:
            build_decoder(spec, find_level(level), weights, Path(folder), token_ids(home))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            f"{model.name} at {level} could not be built: {error.strerror}",
            fix="free room on the cache's disk" if full else "choose another cache: --cache DIR",
        ) from error
    return {
        "build_seconds": time.perf_counter() - begin_s,
        "build_peak_bytes": memory_mark().peak_bytes - _START.peak_bytes,
    }


COMMANDS: Mapping[str, Callable[..., Any]] = {"build": build}


def token_ids(folder: Path | None) -> "TokenIds":
    """Return the special tokens that a checkpoint's config.json names; 0 where it has no number."""
    from harness.graph.genai import TokenIds

    if folder is None:
        return TokenIds()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    begins, ends, pads = (_ids(config.get(f"{word}_token_id")) for word in ("bos", "eos", "pad"))
    ends = ends or (0,)
    return TokenIds((begins or (0,))[0], ends, (pads or ends)[0])


def _ids(value: Any) -> tuple[int, ...]:
    """Return the token ids among `value`, one or a list of them; nothing measured reads them."""
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if type(item) is int)
