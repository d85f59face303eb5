"""Models of the Hugging Face hub, fetched into the cache: whole, pinned, and free of links.

The hub's own cache is used, so that what other tools have fetched is not fetched again. It holds
links into a folder of blobs, which ONNX Runtime refuses, and a file with two names is one that
others may write: the files are copied.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from harness.core.encoding import read_json_file
from harness.core.environment import keep_hub_quiet
from harness.core.errors import DeviceError, ModelError, StorageError
from harness.core.files import remove_partial_folders, settle_folder, whole_folder
from harness.core.findings import Log
from harness.core.progress import BYTES, Hear, Part, heard_by, is_heard, listener, tell_part
from harness.core.records import read_json
from harness.core.units import MIB, about_time
from harness.models.exported.skeleton import data_files
from harness.models.weights.source import HUB_FILE
from harness.store.hub import (
    HubName,
    Wanted,
    is_commit,
    leads_out,
    local_name,
    parse_hub_name,
    wanted_files,
)
from harness.store.locks import sole_maker

ONLINE = "run it once with a connection, without --offline and HF_HUB_OFFLINE"
INSTALL = "pip install 'ondevice-bench[hub]'"
DISTRUST = "do not use this repository, or this hub (HF_ENDPOINT)"
TOLD_BYTES = MIB  # a smaller file is there at once
COMMIT_CHARACTERS = 12  # of the commit, in the name of a folder
MOST_WAIT_S = 86_400.0  # for another process that fetches the same


@dataclass(frozen=True, slots=True)
class Hub:
    """Where models come from.

    Attributes:
        endpoint: address of the hub; None: as HF_ENDPOINT says, else huggingface.co.
        cache: folder of the hub's own cache; None: as HF_HOME says.
        offline: take only what has been fetched before.
    """

    endpoint: str | None = None
    cache: Path | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True)
class _Listing:
    """A repository at one commit: its files and their sizes, where they are known."""

    commit: str
    files: dict[str, int | None]


def fetch_model(argument: str, cache: Path, hub: Hub, log: Log) -> Path:
    """Return the folder of a model on the hub, fetching what is missing.

    The folder holds the model's files and HUB_FILE, which says what they are: `repo`, `revision`
    as asked for, `inside`, `commit`, and the size of every file. Who asks for a model that another
    process fetches waits, and takes what that one fetched.

    Args:
        argument: `hf:org/name[@revision][:inside]`.
        cache: folder of built models; fetched ones lie in `hub` below it.
        hub: see Hub.
        log: is told what is fetched.

    Raises:
        UsageError: another form of argument.
        ModelError: no such repository, revision, folder or file; or a hub that names a commit that
            is none, or files outside the repository.
        DeviceError: huggingface_hub is not installed.
        StorageError: no connection, not fetched before, no space, a disk that cannot be written.
    """
    name = parse_hub_name(argument)
    offline = hub.offline or _library().constants.HF_HUB_OFFLINE
    fetched = _fetched_before(name, cache)
    if fetched is not None and (offline or is_commit(name.revision)):
        return fetched
    with _in_words(name):
        listing = _cached(name, hub) if offline else _asked(name, hub)
    place = cache / "hub" / name.repo.replace("/", "--") / listing.commit[:COMMIT_CHARACTERS]
    folder = place / local_name(name)
    if (folder / HUB_FILE).is_file():
        return folder
    lock = f"hub-{hashlib.sha256(folder.relative_to(cache).as_posix().encode()).hexdigest()[:16]}"
    with sole_maker(cache, lock, MOST_WAIT_S, f"fetching {name.repo}", log):
        if not (folder / HUB_FILE).is_file():
            _fetch(name, listing, replace(hub, offline=offline), folder, log)
    return folder


def _fetch(name: HubName, listing: _Listing, hub: Hub, folder: Path, log: Log) -> None:
    """Fetch a model into its folder; only for who holds its lock."""
    place = folder.parent
    asked = _Asked(name, listing, hub, place, log)
    wanted = _wanted(name, listing, asked)
    sizes = {file: listing.files[file] or 0 for file in wanted.files}
    if wanted.note:
        log(f"{name.repo}: {wanted.note}")
    asked.say(f"{len(sizes)} files, {sum(sizes.values()) / MIB:,.1f} MiB")
    with _in_words(name):
        _check_room(place, 2 * sum(sizes.values()))  # in the hub's cache, and here
    files = asked.files(wanted.files, sizes)
    with _in_words(name):
        record = {**asdict(name), "inside": wanted.inside, "commit": listing.commit}
        _put(folder, files, record)


def _wanted(name: HubName, listing: _Listing, asked: "_Asked") -> Wanted:
    """Return what is fetched; offline only what was fetched before can be chosen.

    Raises:
        ModelError, UsageError: see wanted_files.
        StorageError: offline, and what was fetched before is no model, or not a whole one.
    """
    try:
        return wanted_files(name, listing.files, asked)
    except ModelError as error:
        if not asked.hub.offline:
            raise
        raise StorageError(
            f"what has been fetched of {name.repo}@{name.revision} before is no whole model:"
            f" {error.problem}",
            fix=ONLINE,
        ) from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """The files of a repository at one commit, each fetched when it is asked for.

    Attributes:
        name: what was asked for.
        listing: the commit and its files.
        hub: where they come from.
        place: folder of the cache, on whose disk there must be room.
        log: is told what is fetched.
    """

    name: HubName
    listing: _Listing
    hub: Hub
    place: Path
    log: Log

    def say(self, what: str) -> None:
        """Tell what is fetched."""
        self.log(f"fetching {self.name.repo}@{self.listing.commit[:COMMIT_CHARACTERS]}: {what}")

    def file(self, file: str) -> Path:
        """Return a file of the hub's cache."""
        with _in_words(self.name):
            _check_room(self.place, 2 * (self.listing.files[file] or 0))
            return _download(self.name, self.listing.commit, file, self.hub, self.hub.offline)

    def files(self, wanted: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, Path]:
        """Return the files of the hub's cache by their places; large ones are told as they begin.

        Args:
            wanted: file of the repository -> place in the folder.
            sizes: file -> bytes.
        """
        found, done, total = {}, 0, sum(sizes.values())
        start_s = time.monotonic()
        for file, place in wanted.items():
            if sizes[file] > TOLD_BYTES and len(wanted) > 1:
                spent_s = time.monotonic() - start_s
                left = f", {about_time(spent_s / done * (total - done))} left" if done else ""
                self.say(f"{file}, {sizes[file] / MIB:,.1f} MiB; {done / MIB:,.1f} MiB done{left}")
            with heard_by(_of_all(done, total)) if is_heard() else nullcontext():
                found[place] = self.file(file)
            done += sizes[file]
            tell_part(done, total, BYTES)
        return found

    def read(self, file: str) -> Any:
        """Return a decoded JSON file."""
        return read_json(self.file(file), f"{self.name.repo}/{file}")

    def data_of(self, graph: str) -> tuple[str, ...]:
        """Return the files that a graph names as the place of its tensors."""
        size_bytes = self.listing.files[graph] or 0
        if size_bytes > MIB and not self.hub.offline:
            self.say(f"{graph}, {size_bytes / MIB:,.1f} MiB")
        return data_files(self.file(graph))


def _library() -> Any:
    """Return huggingface_hub.

    Raises:
        DeviceError: it is not installed.
    """
    keep_hub_quiet()
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise DeviceError("hf: models are fetched by huggingface_hub", fix=INSTALL) from error
    return huggingface_hub


def _fetched_before(name: HubName, cache: Path) -> Path | None:
    """Return the folder that a revision meant when it was fetched last, or None."""
    places = (cache / "hub" / name.repo.replace("/", "--")).glob(f"*/{local_name(name)}/{HUB_FILE}")
    for place in sorted(places, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):  # damaged: fetched once more
            record = read_json_file(place)
            if name.revision in (record["revision"], record["commit"]):
                return place.parent
    return None


def _asked(name: HubName, hub: Hub) -> _Listing:
    """Ask the hub what a revision is and holds."""
    api = _library().HfApi(endpoint=hub.endpoint)
    info = api.model_info(name.repo, revision=name.revision, files_metadata=True)
    return _checked(name, info.sha, {file.rfilename: file.size for file in info.siblings or ()})


def _cached(name: HubName, hub: Hub) -> _Listing:
    """Look up a revision in the hub's own cache; its files are those that were fetched."""
    library = _library()
    try:
        found = library.snapshot_download(
            name.repo, revision=name.revision, cache_dir=hub.cache, local_files_only=True
        )
    except library.errors.IncompleteSnapshotError as error:
        found = error.snapshot_path
    folder = Path(found)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return _checked(
        name,
        folder.name,
        {path.relative_to(folder).as_posix(): path.stat().st_size for path in files},
    )


def _checked(name: HubName, commit: object, files: dict[str, int | None]) -> _Listing:
    """Return a listing that can be trusted with names of files and folders.

    Raises:
        ModelError: the commit is none, or a file is outside.
    """
    if not isinstance(commit, str) or not is_commit(commit):
        raise ModelError(
            f"{name.repo}: the hub says that {name.revision} is commit {str(commit)[:80]!r}, which"
            " is none",
            fix=f"{DISTRUST}; a commit has 40 hexadecimal digits",
        )
    outside = next((file for file in files if leads_out(file)), None)
    if outside is not None:
        raise ModelError(f"{name.repo} lists a file outside itself: {outside[:80]!r}", fix=DISTRUST)
    return _Listing(commit, files)


def _download(name: HubName, commit: str, file: str, hub: Hub, offline: bool) -> Path:
    """Return a file of the hub's cache, fetched or resumed where it is not whole."""
    library = _library()
    shown = "tqdm_class" in signature(library.hf_hub_download).parameters
    return Path(
        library.hf_hub_download(
            name.repo,
            file,
            revision=commit,
            cache_dir=hub.cache,
            endpoint=hub.endpoint,
            local_files_only=offline,
            **({"tqdm_class": _bar_that_tells()} if shown else {}),
        )
    )


def _bar_that_tells() -> Any:
    """A class that stands where the library draws a bar: it tells how many bytes are here."""
    tqdm = import_module("tqdm").tqdm  # which the library brings

    def begin(bar: Any, *items: Any, **named: Any) -> None:
        tqdm.__init__(bar, *items, **{**named, "disable": True})
        bar.n = named.get("initial") or 0

    def update(bar: Any, more: float | None = 1) -> None:
        bar.n += more or 0
        tell_part(int(bar.n), int(bar.total or 0), BYTES)

    def transferred(_bar: Any, _more: float) -> None:
        """Bytes on the line are no bytes of the file."""

    return type(
        "Told", (tqdm,), {"__init__": begin, "update": update, "update_transfer": transferred}
    )


def _of_all(done_bytes: int, total_bytes: int) -> Hear:
    """Tells the bytes of one file as those of all."""
    outer = listener()

    def hear(part: Part) -> None:
        outer(Part(done_bytes + part.done, total_bytes, BYTES))

    return hear


def _put(folder: Path, files: dict[str, Path], record: dict[str, Any]) -> None:
    """Copy files into a model's folder atomically: it appears only when all are there."""
    remove_partial_folders(folder)
    with whole_folder(folder) as partial:
        for place, file in files.items():
            (partial / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, partial / place)
        sizes = {place: file.stat().st_size for place, file in sorted(files.items())}
        text = json.dumps({**record, "files": sizes}, indent=2)
        (partial / HUB_FILE).write_text(text + "\n", encoding="utf-8")
        settle_folder(partial)


def _check_room(place: Path, needed_bytes: int) -> None:
    """Refuse files that the disk has no space for."""
    place.mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes:
        raise StorageError(
            f"the files need {needed_bytes / MIB:,.0f} MiB; the disk has"
            f" {free_bytes / MIB:,.0f} MiB free",
            fix="free some space, or choose another cache: --cache DIR, HF_HOME=DIR",
        )


@contextmanager
def _in_words(name: HubName) -> Iterator[None]:
    """Turn the library's exceptions into ours; the more special ones come first."""
    errors = _library().errors
    asked = f"{name.repo}@{name.revision}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{name.repo} is open only to those who accepted its terms",
            fix=f"accept them at huggingface.co/{name.repo}, then: hf auth login",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no model {name.repo}, or it is private",
            fix="check the name; for a private one: hf auth login, or HF_TOKEN",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{name.repo} has no revision {name.revision!r}", fix="a branch, tag or commit of it"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise StorageError(
            f"{asked} could not be reached, and has not been fetched before: {_reason(error)}",
            fix=ONLINE,
        ) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(f"{asked} lost a file: {_reason(error)}", fix="try again") from error
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        raise StorageError(
            f"{asked} could not be fetched: {_reason(error)}",
            fix="try again: what was fetched is kept; with --offline, only what is there",
        ) from error


def _reason(error: BaseException) -> str:
    """Return the first line of an exception, or what kind it is."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
