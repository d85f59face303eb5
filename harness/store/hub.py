"""A model on the Hugging Face hub: how it is named, and which of its files are wanted. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.core.errors import ModelError, UsageError
from harness.models.exported.files import chosen_of

PREFIX = "hf:"
FORM = "hf:org/name[@revision][:folder or file.onnx]"
GRAPH, WEIGHTS = ".onnx", ".safetensors"
INDEX = "model.safetensors.index.json"
# Data files of graphs: `model.onnx.data`, `model.onnx_data`, `model.onnx_data_1`, `model.data`.
DATA = re.compile(r"\.onnx[._]data(_\d+)?$|\.data$")
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


def local_name(name: HubName) -> str:
    """The folder's name, which results print: the repository's, and what was chosen inside."""
    words = (name.repo.split("/")[1], *PurePosixPath(name.inside.removesuffix(GRAPH)).parts)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(words))


def wanted_files(name: HubName, files: Iterable[str]) -> dict[str, str]:
    """Choose the files of a repository that a model needs.

    Of a folder with graphs they are one copy of each part and its data; of one without, its
    safetensors. At the top of a repository that has both, it is the safetensors, `:onnx` asks for
    the graphs; beside a genai_config.json it is the graph, whose data they are.
    What describes the model is taken from the folder, and where it is not there, from above it.

    Args:
        name: what was asked for.
        files: every file of the repository, with `/`.

    Returns:
        File of the repository -> its place in the model's folder.

    Raises:
        ModelError: there is no model; the fix names the places where there is one.
        UsageError: several models, none of them plain; the fix names one of them.
    """
    known = sorted(files)
    is_file = name.inside.endswith(GRAPH)
    folder = str(PurePosixPath(name.inside).parent) if is_file else name.inside
    folder = "" if folder == "." else folder
    here = {file: _below(folder, file) for file in known}
    flat = {file: place for file, place in here.items() if place and "/" not in place}
    weights = [file for file, place in flat.items() if place.endswith(WEIGHTS) or place == INDEX]
    graphs = [file for file, place in flat.items() if place.endswith(GRAPH)]
    if is_file:
        weights = []
    if (is_file and name.inside not in graphs) or not (graphs or _has_weights(weights)):
        raise ModelError(f"{name.repo} holds no model at {_at(name)}", fix=_instead(name, known))
    is_genai = any(place == "genai_config.json" for place in flat.values())
    if weights and not is_genai:
        chosen = weights
    else:  # safetensors beside a graph of genai are the data that it names
        wanted = _graphs(name, folder, [flat[file] for file in graphs])
        owned = [file for file in flat if _is_data(flat[file], wanted, flat.values())]
        chosen = [*(file for file in graphs if flat[file] in wanted), *owned, *weights]
    found = {file: flat[file] for file in chosen}
    for level in (folder, *_above(folder)):
        taken = set(found.values())
        for file in known:
            place = _below(level, file)
            if place in DESCRIPTIONS and place not in taken:
                found[file] = place
    return found


def _has_weights(files: Iterable[str]) -> bool:
    """Whether safetensors are among files: an index alone is no model."""
    return any(file.endswith(WEIGHTS) for file in files)


def _graphs(name: HubName, folder: str, places: list[str]) -> tuple[str, ...]:
    """Return the graphs of a folder that are the model: one copy of each part."""
    asked = PurePosixPath(name.inside).name if name.inside.endswith(GRAPH) else None
    inside = f":{folder}" if folder else ":"
    try:
        return chosen_of(places, Path(f"{PREFIX}{name.repo}{inside}"), asked)
    except UsageError as error:
        raise UsageError(error.problem, fix=error.fix.replace(":/", ":")) from error


def _is_data(place: str, graphs: Collection[str], every: Iterable[str]) -> bool:
    """Whether a file holds tensors of the chosen graphs, by its name; of no graph's: it may."""
    if not DATA.search(place):
        return False
    stems = {file.removesuffix(GRAPH) for file in every if file.endswith(GRAPH)}
    owner = DATA.sub("", place)
    return f"{owner}{GRAPH}" in graphs or owner not in stems


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


def _instead(name: HubName, files: list[str]) -> str:
    """Say where a model would be found."""
    ending = (GRAPH, WEIGHTS)
    places = sorted({str(PurePosixPath(file).parent) for file in files if file.endswith(ending)})
    if not places:
        return "a repository with .onnx or .safetensors files; other formats are not read"
    words = [f"{PREFIX}{name.repo}" + ("" if place == "." else f":{place}") for place in places[:6]]
    return f"one of: {', '.join(words)}"
