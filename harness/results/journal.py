"""The journal of a run: one line per finished entry, on the disk before the next one begins.

A line is a JSON object that carries the CRC-32 of its own entry:

    {"crc32":"1a2b3c4d","entry":{"kind":"test",...}}

Kinds are those of harness.results.entries: `run` opens a journal, then `test`, `memory`, `failure`
and whatever else a run has to say.
A run that is killed leaves at most one torn line, the last. Any other line that does not verify is
damage: a reader that can do without it is told which it is, and any other refuses the file. Whoever
goes on with the run does without: what the line held is measured again, and the line stays.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from harness.core.encoding import utf8_from
from harness.core.errors import ResultFormatError, StorageError
from harness.core.files import sweep_folder, sync_folder
from harness.results.bounds import read_stored, refuse_endless
from harness.results.entries import Entry, ResumedEntry, TuneEntry
from harness.results.upgrade import upgrade_entry

if TYPE_CHECKING:
    from filelock import BaseFileLock

SUFFIX = ".journal.jsonl"  # after the name of its run
PREFIX = b'{"crc32":"'
MIDDLE = b'","entry":'
ENTRY_START = len(PREFIX) + 8 + len(MIDDLE)
# Enough to meet a full disk or a quota before a run, not after it.
PROBE_BYTES = 256 * 1024


PAIRS_PREFIX = "ab-"  # of files of `bench ab`
TUNE_PREFIX = "tune-"  # of files of `bench tune`
SITTINGS = (ResumedEntry, TuneEntry)  # entries that a sitting begins with, also one that goes on
AGAIN = "what it held is measured again"


def document_of(journal: Path) -> Path:
    """Where the results document of a journal's run lies, or would lie."""
    return journal.with_name(f"{journal.name.removesuffix(SUFFIX)}.json")


def is_called_pairs(path: Path) -> bool:
    """Whether a file is called as `bench ab` and `bench tune` call theirs, which are no runs."""
    is_lines = path.suffix == ".jsonl" and not path.name.endswith(SUFFIX)
    return is_lines and path.name.startswith((PAIRS_PREFIX, TUNE_PREFIX))


class Journal:
    """The journal that one run appends to. Use it as a context manager.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        """Open `path` to append; a torn last line of an interrupted run is cut off first.

        Raises:
            StorageError: it cannot be written, or another run is writing it.
        """
        self.path = path
        self._lock = _sole_writer(path)
        try:
            self._file = path.open("ab", buffering=0)
            self._is_new = not _cut_torn_line(path)
        except OSError as error:
            self._lock.release()
            raise _cannot_write(path, error) from error

    def append(self, entry: Entry | Mapping[str, object]) -> None:
        """Write one entry and return when it is on the disk.

        Args:
            entry: of harness.results.entries; a study may keep other objects with a `kind`.

        Raises:
            StorageError: the disk is full or gone, or the file is no longer where it was.
            ResultFormatError: the entry holds what JSON cannot: NaN, infinity, an object.
        """
        line = encode_line(entry)
        try:
            self._refuse_removed()
            written = self._file.write(line)
            if written != len(line):  # a full disk may take a part of a line
                raise OSError(None, "only a part of the line was written")
            os.fsync(self._file.fileno())
            if self._is_new:  # only now: a name without a line is all that a kill would leave
                sync_folder(self.path.parent)
                self._is_new = False
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def _refuse_removed(self) -> None:
        """Refuse a file that was removed or moved: the system would go on writing into nothing.

        Raises:
            OSError: see above.
        """
        self.path.stat()  # an error where its folder is gone
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise FileNotFoundError(None, "it was removed")

    def close(self) -> None:
        """Close the file; every entry is on the disk already."""
        self._file.close()
        self._lock.release()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink()

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def read_journal(path: Path, tell: Callable[[str], None] | None = None) -> list[Entry]:
    """Return every entry in order; a torn last line, and only that, is left out.

    Args:
        path: the file.
        tell: called with a sentence for each damaged line, which is left out then; None: a damaged
            line is an error.

    Raises:
        StorageError: the file cannot be read.
        ResultFormatError: a damaged line, or one that is no entry of a run; says which.
    """
    entries = []
    for number, line in _lines(path):
        try:
            entries.append(_typed(_decode_line(line, path, number), path, number))
        except ResultFormatError as error:
            if tell is None:
                raise
            tell(f"{error.problem}; it is left out")
    return entries


@dataclass(frozen=True, slots=True)
class Sound:
    """What can be read of a journal.

    Attributes:
        path: the file.
        entries: of its sound lines, in order.
        damaged: a sentence for each of the others, which names the file and the line.
        is_mended: no line is damaged behind the beginning of the last sitting, which went on
            without those before it.
    """

    path: Path
    entries: tuple[Entry, ...]
    damaged: tuple[str, ...] = ()
    is_mended: bool = True


def read_sound(path: Path) -> Sound:
    """Return what the sound lines hold, and which lines are damaged.

    Raises:
        StorageError: the file cannot be read.
    """
    entries: list[Entry] = []
    damaged: list[str] = []
    is_mended = True
    for number, line in _lines(path):
        try:
            entry = _typed(_decode_line(line, path, number), path, number)
        except ResultFormatError as error:
            damaged.append(error.problem)
            is_mended = False
            continue
        entries.append(entry)
        is_mended = is_mended or isinstance(entry, SITTINGS)
    return Sound(path, tuple(entries), tuple(damaged), is_mended)


def sound_journals(results: Path, prefix: str = "", suffix: str = ".jsonl") -> Iterator[Sound]:
    """Yield what can be read of the files of a kind, the newest first.

    Those that cannot be read at all are passed over: they may be of something else.
    """
    for path in sorted(filter(Path.is_file, results.glob(f"{prefix}*{suffix}")), reverse=True):
        with suppress(StorageError):
            yield read_sound(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return what every line holds, as it was stored; a torn last line is left out.

    Raises:
        StorageError: the file cannot be read.
        ResultFormatError: a damaged line; says which.
    """
    return [_decode_line(line, path, number) for number, line in _lines(path)]


@dataclass(frozen=True, slots=True)
class Checked:
    """A journal held against the checks of its lines.

    Attributes:
        sound: lines that verify.
        damaged: a sentence for each of the others, without the file's name.
        torn_bytes: of a last line that was cut short; 0: none was.
    """

    sound: int
    damaged: tuple[str, ...]
    torn_bytes: int


def check_lines(path: Path) -> Checked:
    """Verify every line, whatever entry it holds.

    Raises:
        StorageError: the file cannot be read.
    """
    lines, torn = _split(path)
    damaged = []
    for number, line in enumerate(lines, start=1):
        try:
            _decode_line(line, path, number)
        except ResultFormatError as error:
            damaged.append(error.problem.removeprefix(f"journal {path}, "))
    return Checked(len(lines) - len(damaged), tuple(damaged), len(torn))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each whole line.

    Raises:
        StorageError: the file cannot be read.
    """
    yield from enumerate(_split(path)[0], start=1)


def _split(path: Path) -> tuple[list[bytes], bytes]:
    """The whole lines of a file in UTF-8, and what follows the last line feed.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        content = read_stored(path)
    except OSError as error:
        raise StorageError(
            f"journal {path} cannot be read: {error.strerror}", fix="check the path and its rights"
        ) from error
    with suppress(ValueError):  # of another encoding than it begins in: a line is damaged, then
        told = utf8_from(content)
        content = told if told.startswith(PREFIX) else content  # bytes that only look like a mark
    *lines, torn = content.replace(b"\r\n", b"\n").split(b"\n")
    return lines, torn


def prepare_results_folder(path: Path) -> None:
    """Make the folder and prove that it can be written, before anything is measured.

    What killed processes left there is swept.

    Raises:
        StorageError: it is no folder, it cannot be made or written, or the disk is full.
    """
    probe = path / f".probe-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        with probe.open("wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        sweep_folder(path)
    except OSError as error:
        raise StorageError(
            f"results folder {path} cannot be written: {error.strerror}",
            fix="--results with a folder on a disk that has space and may be written",
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def encode_line(entry: Entry | Mapping[str, object]) -> bytes:
    """One entry as its line, line feed included.

    Raises:
        ResultFormatError: the entry holds what JSON cannot.
    """
    try:
        plain = msgspec.to_builtins(entry)
        body = json.dumps(plain, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultFormatError(
            f"a {_kind_of(entry)} entry cannot be stored: {error}",
            fix="report this: a worker's answer holds a value that is no number",
        ) from error
    return _frame(body) + b"\n"


def _kind_of(entry: Entry | Mapping[str, object]) -> object:
    """The word that tells kinds of entries apart."""
    return entry.get("kind") if isinstance(entry, Mapping) else entry.__struct_config__.tag


def _frame(body: bytes) -> bytes:
    """The line of an encoded entry, without its line feed."""
    return b"%b%08x%b%b}" % (PREFIX, zlib.crc32(body), MIDDLE, body)


def _decode_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """Verify one line and return its entry."""
    body = line[ENTRY_START:-1]
    if line != _frame(body):
        raise _damaged(path, number, "its check sum does not match")
    try:
        entry = json.loads(body)
        refuse_endless(body, entry)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, number, str(error)) from error
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        raise _damaged(path, number, "it is no entry")
    return entry


def _typed(line: dict[str, Any], path: Path, number: int) -> Entry:
    """The entry that a verified line holds, in the words of today."""
    try:
        entry: Entry = msgspec.convert(upgrade_entry(line), Entry)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(path, number, f"it is no {line['kind']} entry: {error}") from error
    return entry


def _sole_writer(path: Path) -> "BaseFileLock":
    """Hold the journal for this process; the system lets go of it when the process ends.

    Raises:
        StorageError: another process holds it, or the folder cannot be written.
    """
    import filelock

    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.stat()  # a lock would make the folder that prepare_results_folder owes
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise StorageError(
            f"journal {path} belongs to a run that is still going on",
            fix="wait for it to end, or measure into another --results",
        ) from error
    except OSError as error:
        raise _cannot_write(path, error) from error
    return lock


def _cut_torn_line(path: Path) -> bool:
    """Cut the file behind its last line feed, so that the next line begins where a line begins.

    Returns:
        Whether there is a whole line.
    """
    whole = path.read_bytes()
    keep_bytes = whole.rfind(b"\n") + 1
    if keep_bytes < len(whole):
        os.truncate(path, keep_bytes)
    return keep_bytes > 0


def _damaged(path: Path, number: int, what: str) -> ResultFormatError:
    """The error of a line that does not verify."""
    anew = "with `bench ab`" if path.name.startswith(PAIRS_PREFIX) else "without --resume"
    return ResultFormatError(
        f"journal {path}, line {number} is damaged: {what}",
        fix="the same command with --resume: it takes the other lines, and measures again what"
        " this one held"
        if number > 1
        else f"keep the file, and measure anew {anew}",
    )


def _cannot_write(path: Path, error: OSError) -> StorageError:
    """The error of a disk that does not take a line."""
    return StorageError(
        f"journal {path} cannot be written: {error.strerror}",
        fix="free the disk or give another --results; what is in the journal stays valid",
    )
