"""Constants of a machine between two runs: a small JSON file per machine, device and thread count.

A file that cannot be used is put aside under another name, never deleted, and measured anew.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.core.errors import HarnessError, StorageError
from harness.core.files import write_whole
from harness.results.calibration import Constants, StoredConstants
from harness.results.environment import MachineFacts

METHOD_VERSION = 5  # raise it with any change of a shape or formula that moves a constant
FOLDER = "calibration"
# Facts of the machine that decide its hardware peaks; none of them names a person or a host.
FINGERPRINT_FACTS = ("cpu_model", "architecture", "usable_cores", "container_cpu_cores", "os")


@dataclass(frozen=True, slots=True)
class CalibrationKey:
    """The key that constants are stored under.

    Attributes:
        fingerprint: of the machine; see machine_fingerprint.
        onnxruntime: its version.
        device: row of the device table.
        threads: intra-op threads.
    """

    fingerprint: str
    onnxruntime: str
    device: str
    threads: int

    @property
    def file_name(self) -> str:
        """Of the stored constants: what does not change on one machine."""
        return f"{self.device.replace(':', '-')}-{self.threads}t-{self.fingerprint}.json"


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """The outcome of a look into the store.

    Attributes:
        stored: usable constants, or None.
        note: what was wrong with a file that cannot be used; empty: nothing.
    """

    stored: StoredConstants | None
    note: str = ""


def machine_fingerprint(facts: MachineFacts) -> str:
    """Return 16 hexadecimal digits over the facts that decide the hardware peaks of a machine.

    Args:
        facts: of the machine.
    """
    text = json.dumps({name: getattr(facts, name) for name in FINGERPRINT_FACTS}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def calibration_key(facts: MachineFacts, device: str, threads: int) -> CalibrationKey:
    """Return the key of constants of this machine, from its facts."""
    version = (facts.packages or {}).get("onnxruntime", "unknown")
    return CalibrationKey(machine_fingerprint(facts), version, device, threads)


def find_constants(cache: Path, key: CalibrationKey, *, to_replace: bool = True) -> CacheLookup:
    """Return the stored constants of this key.

    Args:
        cache: folder that holds the store.
        key: what they must hold for.
        to_replace: they will be measured anew where they are no good: such a file is put aside.

    Raises:
        StorageError: the file cannot be read or renamed.
    """
    path = cache / FOLDER / key.file_name
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return CacheLookup(None)
    except OSError as error:
        raise _unusable(error) from error
    word, stored = "stale", None
    try:
        stored = msgspec.json.decode(text, type=StoredConstants)
    except (msgspec.DecodeError, UnicodeDecodeError, HarnessError):
        word, reason = "corrupt", "it is damaged"
    else:
        reason = _stale(stored, key)
    if not reason:
        return CacheLookup(stored)
    return CacheLookup(
        None, _put_aside(path, word, reason) if to_replace else f"it is {word}: {reason}"
    )


def stored_now(
    key: CalibrationKey, constants: Constants, complete: bool, background_share: float | None = None
) -> StoredConstants:
    """Return constants as they are stored: of this key, method and day."""
    return StoredConstants(
        fingerprint=key.fingerprint,
        onnxruntime=key.onnxruntime,
        device=key.device,
        method_version=METHOD_VERSION,
        complete=complete,
        constants=constants,
        background_share=background_share,
        measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def store_constants(cache: Path, stored: StoredConstants) -> Path:
    """Write constants atomically, over those of the same key.

    Raises:
        StorageError: the cache cannot be written.
    """
    key = CalibrationKey(
        stored.fingerprint, stored.onnxruntime, stored.device, stored.constants.threads
    )
    path = cache / FOLDER / key.file_name
    text = json.dumps(msgspec.to_builtins(stored), indent=1, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise _unusable(error) from error
    return path


def _stale(stored: StoredConstants, key: CalibrationKey) -> str:
    """Return why constants no longer hold; empty: they do."""
    if stored.method_version != METHOD_VERSION:
        return f"method {stored.method_version}, now {METHOD_VERSION}"
    if stored.onnxruntime != key.onnxruntime:
        return f"onnxruntime {stored.onnxruntime}, now {key.onnxruntime}"
    found = (stored.fingerprint, stored.device, stored.constants.threads)
    if found != (key.fingerprint, key.device, key.threads):
        return "it is another machine's, device's or thread count's"
    return ""


def _put_aside(path: Path, word: str, reason: str) -> str:
    """Rename a file that cannot be used to the first free name and say so."""
    number = 1
    while (aside := path.with_name(f"{path.name}.{word}-{number}")).exists():
        number += 1
    try:
        path.replace(aside)
    except OSError as error:
        raise _unusable(error) from error
    return f"stored calibration put aside as {aside.name}: {reason}; measuring anew"


def _unusable(error: OSError) -> StorageError:
    """The cache is not there for us."""
    return StorageError(
        f"the calibration cannot be kept: {error.strerror}",
        fix="choose another cache: --cache DIR or BENCH_CACHE=DIR",
    )
