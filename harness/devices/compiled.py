"""Where a device's compiled form of a model is kept, and what is known of it. Opens no session."""

import json
from hashlib import blake2b
from pathlib import Path

import msgspec

from harness.core.encoding import read_json_file
from harness.devices.device import Device
from harness.devices.row import RUNTIME, installed_version
from harness.results.replies import Compiled

META_FILE = "compiled.json"
FOLDER = "compiled"  # inside the cache of built models
KEY_BYTES = 12


def compiled_folder(cache: Path, content_hash: str, device: Device) -> Path | None:
    """The folder of one model on one device; None: its provider keeps no compiled graphs.

    Named by everything that decides its content: model, row, options, versions of provider and
    runtime. The machine is not in it: a cache belongs to one machine.

    Args:
        cache: folder of built models.
        content_hash: of the built model.
        device: as chosen.
    """
    row = device.row
    if not row.context:
        return None
    parts = (
        *(content_hash, row.key, device.index, sorted(device.provider_options.items())),
        *(installed_version(row.wheel), installed_version(RUNTIME)),
    )
    key = blake2b(json.dumps(parts).encode(), digest_size=KEY_BYTES).hexdigest()
    return cache / FOLDER / f"{row.key}-{key}"


def read_compiled(folder: Path) -> Compiled | None:
    """What compiling took and found; None: there is no whole folder."""
    try:
        return msgspec.convert(read_json_file(folder / META_FILE), Compiled)
    except (OSError, ValueError):
        return None
