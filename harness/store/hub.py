"""A model on the Hugging Face hub: how it is named, and which of its files are wanted. Pure."""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Protocol

from harness.core.errors import ModelError, UsageError
from harness.core.units import MIB
from harness.models.configs.config import spec_from_config
from harness.models.exported.files import (
    GENAI_CONFIG,
    Typed,
    chosen_of,
    graphs_among,
    named_by_genai,
)
from harness.models.weights.source import CONFIG, INDEX, SINGLE, weight_files

PREFIX = "hf:"
FORM = "hf:org/name[@revision][:folder or file.onnx]"
GRAPH, WEIGHTS = ".onnx", ".safetensors"
# A graph whose weights lie elsewhere is smaller; what is larger is not fetched to be asked.
LARGEST_STRUCTURE_BYTES = 64 * MIB
DESCRIPTIONS = (
    *("config.json", "genai_config.json", "generation_config.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "modules.json", "1_Pooling/config.json"),
)
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_FORM = re.compile(rf"hf:({_NAME}/{_NAME})(?:@([A-Za-z0-9][\w./-]*))?(?::([\w][\w./ -]*?)/?)?")


@dataclass(frozen=True, slots=True)
class HubName:
    """What a user typed.

    Attributes:
        repo: `org/name`.
        revision: branch, tag or commit; `main` where nothing is said.
        inside: a folder of the repository or one .onnx file in it; empty: its top.
    """

    repo: str
    revision: str = "main"
    inside: str = ""


def is_hub_name(argument: str) -> bool:
    """Whether a model is to be fetched."""
    return argument.startswith(PREFIX)


def parse_hub_name(argument: str) -> HubName:
    """Read `hf:org/name[@revision][:inside]`.

    Raises:
        UsageError: another form, or a way out of the repository.
    """
    found = _FORM.fullmatch(argument)
    inside = (found and found[3]) or ""
    if found is None or ".." in PurePosixPath(inside).parts:
        raise UsageError(f"--model {argument!r} is no model on the hub", fix=FORM)
    return HubName(found[1], found[2] or "main", inside)


def is_commit(revision: object) -> bool:
    """Whether a revision is 40 hexadecimal digits: it can never mean anything else."""
    return isinstance(revision, str) and re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def leads_out(file: str) -> bool:
    """Whether a name, on this system or another, is of no file below the folder it is put into."""
    there = PureWindowsPath(file)  # which also splits at `/`
    outside = there.drive or there.root or ".." in there.parts or not there.parts
    return bool(outside) or any(ord(letter) < 32 for letter in file)


def local_name(name: HubName) -> str:
    """The folder's name, which results print: the repository's, and what was chosen inside."""
    words = (name.repo.split("/")[1], *PurePosixPath(name.inside.removesuffix(GRAPH)).parts)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(words))


def typed_name(name: HubName, inside: str) -> str:
    """Return what is typed for another place of the same repository, at the same revision."""
    revision = "" if name.revision == "main" else f"@{name.revision}"
    return f"{PREFIX}{name.repo}{revision}" + (f":{inside}" if inside else "")


class Repository(Protocol):
    """What a choice asks of a repository; each answer may fetch that one file."""

    def read(self, file: str) -> Any:
        """Return a decoded JSON file."""

    def data_of(self, graph: str) -> Sequence[str]:
        """Return the files that a graph names as the place of its tensors, from its folder."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is fetched of a repository.

    Attributes:
        files: file of the repository -> its place in the model's folder.
        inside: where in the repository the model lies: as asked for, or as found.
        note: what was chosen unasked, and how to get the other; empty: nothing.
    """

    files: Mapping[str, str]
    inside: str
    note: str = ""


def wanted_files(name: HubName, sizes: Mapping[str, int | None], asks: Repository) -> Wanted:
    """Choose the files of a repository that a model needs: those of a local folder's choice.

    What describes a model is read first. Of a class that is built here safetensors are taken,
    those that their index names; where they are the data of a graph beside them, where a
    genai_config.json names a graph, or where the class is not built here, it is the graph: one
    copy of each part, and the data files that these name. Of a class that is not built and has no
    graph only the description is fetched, which is enough for an estimate.
    What describes the model is taken from the folder, and where it is not there, from above it.

    Args:
        name: what was asked for.
        sizes: every file of the repository, with `/`; its bytes, or None where nothing says them.
        asks: reads its files.

    Raises:
        ModelError: there is no model; the fix names the places where there is one. Or a file that
            decides and cannot be read, or names another that is not there.
        UsageError: several models, none of them plain; the fix names one of them.
    """
    if name.inside.endswith(GRAPH):
        folder = _parent(name.inside)
        if name.inside not in sizes:
            raise _no_model(name, sizes)
        graphs = _flat(folder, sizes, GRAPH)
        chosen = chosen_of(graphs, _typed(name, folder), PurePosixPath(name.inside).name)
        return _with_data(name, folder, [_join(folder, file) for file in chosen], sizes, asks)
    weights = _flat(name.inside, sizes, WEIGHTS)
    base, graphs = _graphs(name, name.inside, sizes, asks)
    if not weights and not graphs:
        raise _no_model(name, sizes)
    config = _nearest(CONFIG, name.inside, sizes)
    if not weights or (config is None and graphs):
        return _with_data(name, base, graphs, sizes, asks)
    if config is None:
        raise ModelError(
            f"{typed_name(name, name.inside)} has safetensors and no {CONFIG}: nothing says how"
            " to build them",
            fix="the model that they belong to, or an export of it as .onnx",
        )
    refusal = _refusal(asks.read(config), name)
    if refusal is None and not (graphs and _are_of_a_graph(weights, graphs, name, sizes, asks)):
        note = f"; its graph: --model {_quoted(name, graphs[0])}" if graphs else ""
        return Wanted(
            _described(name.inside, _checkpoint(name, sizes, asks), sizes),
            name.inside,
            note and f"its safetensors are taken{note}",
        )
    if graphs:
        note = f"its graph {graphs[0]} is taken" + (f": {refusal}" if refusal else "")
        return replace(_with_data(name, base, graphs, sizes, asks), note=note)
    note = f"no weights are fetched: {refusal}"
    return Wanted(_described(name.inside, (), sizes), name.inside, note)


def _graphs(
    name: HubName, folder: str, sizes: Mapping[str, int | None], asks: Repository
) -> tuple[str, list[str]]:
    """Return the folder of a model's graphs, and the graphs: files of the repository."""
    here = {place for file in sizes if (place := _below(folder, file))}
    if GENAI_CONFIG in here:
        config = asks.read(_join(folder, GENAI_CONFIG))
        named = named_by_genai(config, f"{name.repo}/{GENAI_CONFIG}", here.__contains__)
        if named:
            return folder, [_join(folder, file) for file in named.values()]
    graphs = graphs_among(here)
    inner = {_parent(file) for file in graphs}
    if len(inner) == 1 and inner != {""}:
        return _graphs(name, _join(folder, *inner), sizes, asks)
    chosen = chosen_of(graphs, _typed(name, folder)) if graphs else ()
    return folder, [_join(folder, file) for file in chosen]


def _are_of_a_graph(
    weights: Collection[str],
    graphs: Sequence[str],
    name: HubName,
    sizes: Mapping[str, int | None],
    asks: Repository,
) -> bool:
    """Whether safetensors are the data of the graphs that lie beside them.

    A graph that is large holds its weights itself: it is not fetched to be asked.
    """
    beside = [file for file in graphs if _parent(file) == name.inside]
    if _join(name.inside, GENAI_CONFIG) in sizes:
        return True
    small = [file for file in beside if (sizes[file] or 0) <= LARGEST_STRUCTURE_BYTES]
    return any(not set(weights).isdisjoint(asks.data_of(file)) for file in small)


def _with_data(
    name: HubName,
    base: str,
    graphs: Sequence[str],
    sizes: Mapping[str, int | None],
    asks: Repository,
) -> Wanted:
    """Return graphs with the data that they name, and what describes them.

    Raises:
        ModelError: a data file that the repository does not have.
    """
    files = list(graphs)
    for graph in graphs:
        for place in asks.data_of(graph):
            path = PurePosixPath(place)
            if path.is_absolute() or ".." in path.parts:
                continue  # outside the folder: refused when the graph is looked at
            file = _join(_parent(graph), place)
            if file not in sizes:
                raise ModelError(
                    f"{name.repo}: the graph {graph!r} keeps its data in {place!r}, which the"
                    " repository does not have",
                    fix=_instead(name, [other for other in sizes if other != graph]),
                )
            files.append(file)
    inside = name.inside if name.inside.endswith(GRAPH) else base
    return Wanted(_described(base, files, sizes), inside)


def _checkpoint(
    name: HubName, sizes: Mapping[str, int | None], asks: Repository
) -> tuple[str, ...]:
    """Return the weights of a folder, and their index."""
    flat = [place for file in sizes if (place := _below(name.inside, file)) and "/" not in place]
    chosen = weight_files(
        flat,
        lambda: asks.read(_join(name.inside, INDEX)),
        name.repo,
        fix="another revision of it: the repository does not have {}",
    )
    index = (INDEX,) if INDEX in flat and SINGLE not in chosen else ()
    return tuple(_join(name.inside, file) for file in (*chosen, *index))


def _described(base: str, chosen: Iterable[str], sizes: Mapping[str, int | None]) -> dict[str, str]:
    """Return files with their places below `base`, and what describes them.

    Parts of a model that lie in folders of their own may have descriptions of their own there.
    """
    found = {file: place for file in chosen if (place := _below(base, file))}
    own = dict.fromkeys(_parent(place) for place in found.values())
    for part in dict.fromkeys((*own, "")):
        for level in (_join(base, part), *([] if part else _above(base))):
            taken = set(found.values())
            for file in sizes:
                place = _below(level, file)
                if place in DESCRIPTIONS and _join(part, place) not in taken:
                    found[file] = _join(part, place)
    return found


def _refusal(config: Any, name: HubName) -> str | None:
    """Return why the model of a config.json is not built here; None: it is."""
    try:
        spec_from_config(config if isinstance(config, dict) else {}, name.repo.split("/")[1])
    except ModelError as error:
        return error.problem
    return None


def _flat(folder: str, files: Iterable[str], ending: str) -> list[str]:
    """Return the names of a folder's own files of one ending."""
    places = (_below(folder, file) for file in files)
    return sorted(
        place for place in places if place and "/" not in place and place.endswith(ending)
    )


def _nearest(file: str, folder: str, files: Collection[str]) -> str | None:
    """Return the nearest file of a name, in a folder or above it."""
    levels = (_join(level, file) for level in (folder, *_above(folder)))
    return next((place for place in levels if place in files), None)


def _join(folder: str, file: str) -> str:
    return str(PurePosixPath(folder, file)) if file else folder


def _parent(file: str) -> str:
    """Return a file's folder; empty: the top."""
    parent = str(PurePosixPath(file).parent)
    return "" if parent == "." else parent


def _typed(name: HubName, folder: str) -> Typed:
    """Say how a folder of a repository is asked for."""
    return Typed(typed_name(name, folder), lambda file: typed_name(name, _join(folder, file)))


def _quoted(name: HubName, inside: str) -> str:
    return shlex.quote(typed_name(name, inside))


def _no_model(name: HubName, files: Iterable[str]) -> ModelError:
    """Return the error of a place without a model."""
    return ModelError(f"{name.repo} holds no model at {_at(name)}", fix=_instead(name, files))


def _below(folder: str, file: str) -> str | None:
    """Return a file's path from `folder`, or None where it lies elsewhere."""
    if not folder:
        return file
    return file.removeprefix(f"{folder}/") if file.startswith(f"{folder}/") else None


def _above(folder: str) -> list[str]:
    """Folders above one, the nearest first; the top is the empty name."""
    parents = [str(parent) for parent in PurePosixPath(folder).parents] if folder else []
    return ["" if parent == "." else parent for parent in parents]


def _at(name: HubName) -> str:
    return f"{name.inside!r}" if name.inside else "its top"


def _instead(name: HubName, files: Iterable[str]) -> str:
    """Say where a model would be found."""
    places = sorted({_parent(file) for file in files if file.endswith((GRAPH, WEIGHTS))})
    if not places:
        return "a repository with .onnx or .safetensors files; other formats are not read"
    return f"one of: {', '.join(_quoted(name, place) for place in places[:6])}"
