"""What a word for a model means, in every command and in Python: one order of one table.

A word that can be estimated only - what is not built here, a system, a count - is
`Described`.
"""

import re
import shlex
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from harness.core.errors import HarnessError, ModelError, UsageError
from harness.core.findings import Log
from harness.models.catalog.catalog import catalog_names
from harness.models.catalog.counts import published_counts
from harness.models.catalog.names import known_name
from harness.models.catalog.target import (
    CONFIG_FILE,
    EstimateTarget,
    catalog_target,
    config_target,
    counted_target,
    parse_parameters,
    sizes_of,
    stated_targets,
)
from harness.models.exported.files import graphs_in, is_exported
from harness.models.exported.skeleton import data_files
from harness.models.formats import refuse_format
from harness.models.gguf.reading import MAGIC
from harness.models.unknown import unknown_model
from harness.models.weights.source import (
    existing,
    holds_embedding,
    is_built_here,
    resolve_model,
)
from harness.runner.models.built import built_model
from harness.runner.models.gguf import gguf_model
from harness.runner.models.model import FoundModel, Model
from harness.store.cache import default_cache
from harness.store.fetch import Hub, fetch_model
from harness.store.hub import is_hub_name

# As people write counts: `7B`, `1.76 trillion`, `1조 7600억`; a bare number names no model.
COUNT = re.compile(
    r"(\d[\d.,]*\s*(K|M|B|BN|T|thousand|million|billion|trillion|만|억|조)\s*개?\s*)+",
    re.IGNORECASE,
)


def find_model(
    word: str | Path,
    folder: Path | None = None,
    hub: Hub | None = None,
    log: Log = lambda line: None,
) -> FoundModel:
    """Find the model that `word` means.

    In this order: a name of the catalog or an alias; a trained model that ships; a folder of
    weights; `hf:org/name`, which is fetched; other files that exist: GGUF, exported ones, a
    config.json;
    a system that the source documents name; a name of the catalog that is written otherwise; a bare
    parameter count.

    Args:
        word: what the user typed.
        folder: of built and fetched models; None: the usual.
        hub: where `hf:` names are looked up; None: the public one.
        log: is told what is fetched.

    Returns:
        What can be estimated; `measured()` of it is what can be built and run, and says why not
        where it cannot be.

    Raises:
        UsageError: nothing is called so; the fix names the nearest of all names.
        ModelError, WorkerError: files that cannot be used.
    """
    word = str(word)
    found = (
        _built(word, folder)
        or _fetched(word, folder, hub or Hub(), log)
        or _gguf(word)
        or _described(word)
        or _exported(word, folder or default_cache())
        or _folder(word)
        or _system(word)
        or _otherwise(word, folder, log)
        or _count(word)
    )
    if found is None:
        raise unknown_model(word)
    return found


def find_targets(word: str, log: Log = lambda line: None) -> tuple[EstimateTarget, ...]:
    """Return what can be estimated of a word: one target, or one for each size of a system.

    Raises:
        HarnessError: as find_model.
    """
    found = find_model(word, log=log).target
    sizes = sizes_of(word)
    return sizes if sizes and sizes[0].name == found.name else (found,)


def _built(word: str, place: Path | None) -> FoundModel | None:
    """A model of the catalog, an alias, a shipped one, or a folder of safetensors.

    Safetensors may be the data of a graph beside them: then the graph is the model. Where nothing
    says how to build them, the graphs of their folder are.
    """
    path = existing(word) if is_built_here(word) else None
    if path is None or not path.is_dir():
        return built_model(resolve_model(word)) if is_built_here(word) else None
    if _is_data_of_graphs(path) or (is_exported(path) and not (path / CONFIG_FILE).is_file()):
        return None
    try:
        source = resolve_model(word)
        if is_exported(path) and not holds_embedding(source):
            raise ModelError(
                f"its safetensors hold no table of {source.spec.vocab_size} x"
                f" {source.spec.hidden_size}, which config.json states",
                fix="download every file of the checkpoint",
            )
        return built_model(source)
    except ModelError as error:  # of an architecture that is not built: its count may be known
        if is_exported(path):
            place = place or default_cache()
            return _recognised(word, path, place, f"its graph is measured: {error.problem}")
        return Described(word, config_target(path / CONFIG_FILE), error)


def _fetched(word: str, place: Path | None, hub: Hub, log: Log) -> FoundModel | None:
    """A repository of the hub: what its fetched folder is."""
    if not is_hub_name(word):
        return None
    return find_model(fetch_model(word, place or default_cache(), hub, log), place)


def _is_data_of_graphs(folder: Path) -> bool:
    """Whether a graph of the folder keeps its tensors in safetensors beside it.

    Those of a graph further below are other files, whatever they are called.
    """
    weights = {file.name for file in folder.glob("*.safetensors")}
    beside = [file for file in graphs_in(folder) if "/" not in file] if weights else []
    return any(not weights.isdisjoint(data_files(folder / graph)) for graph in beside)


def _gguf(word: str) -> FoundModel | None:
    """A GGUF file; one whose name ends so is never anything else, whatever it begins with."""
    path = existing(word)
    if path is None or not path.is_file() or not _is_gguf(path):
        return None
    return _read_gguf(word, path)


def _is_gguf(path: Path) -> bool:
    """Whether a file is called so, or begins so."""
    if path.suffix.casefold() == ".gguf":
        return True
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@cache
def _read_gguf(word: str, path: Path) -> FoundModel:
    """Read a file's header, once in this process."""
    return gguf_model(word, path)


def _described(word: str) -> FoundModel | None:
    """An architecture of the catalog that this version builds no graph of, or a known count."""
    if word in published_counts():
        refusal = _estimated_only(word, "is a published count, and no structure of it is known")
        return Described(word, catalog_target(word), refusal)
    if word not in catalog_names():
        return None
    way = "or an export of it: --model FILE.onnx"
    refusal = _estimated_only(
        word, "is described here, and this version builds no graph of it", way
    )
    return Described(word, catalog_target(word), refusal)


def _exported(word: str, place: Path) -> FoundModel | None:
    """Files that others exported, looked at by a process of their own."""
    path = existing(word)
    if path is None or not is_exported(path):
        return None
    return _recognised(word, path, place)


@cache
def _recognised(word: str, path: Path, place: Path, note: str = "") -> FoundModel:
    """Look at exported files, once in this process."""
    from harness.models.exported.model import ExportedSource
    from harness.runner.models.exported import exported_model
    from harness.store.exported import open_exported

    model = open_exported(path, place)
    if note:
        model = replace(model, notes=(*model.notes, note))
    return exported_model(ExportedSource(word, model))


def _folder(word: str) -> FoundModel | None:
    """A config.json, or a folder with one and without weights: what else lies there is an error."""
    path = existing(word)
    if path is None:
        return None
    try:
        resolve_model(word)
        raise AssertionError("a whole folder is a built model")
    except HarnessError as error:
        config = path / CONFIG_FILE if path.is_dir() else path
        if config.suffix != ".json" or not config.is_file():
            raise
        try:
            return Described(word, config_target(config), error)
        except HarnessError:
            raise refuse_format(path) or error from None


def _system(word: str) -> FoundModel | None:
    """A system that the source documents name."""
    targets = stated_targets(word)
    if not targets:
        return None
    built = next((one for one in targets if one.structure and one.structure.spec), None)
    way = "" if built is None else f"or --model {built.name}, as which it is taken"
    refusal = _estimated_only(word, "is a system of the source documents", way)
    return Described(word, targets[0], refusal)


def _otherwise(word: str, folder: Path | None, log: Log) -> FoundModel | None:
    """A name of the catalog that is written otherwise: of a fine-tune, or without its version."""
    name = known_name(word)
    if name is None:
        return None
    log(f"{word}: taken as {name}, whose architecture it has")
    return find_model(name, folder, log=log)


def _count(word: str) -> FoundModel | None:
    """A parameter count and nothing else."""
    if COUNT.fullmatch(word.strip()) is None:
        return None
    target = counted_target(parse_parameters(word), word)
    return Described(word, target, _estimated_only(word, "is a parameter count"))


def _estimated_only(word: str, what: str, way: str = "") -> UsageError:
    """Return the error of a word that can be estimated, for those who want to measure it."""
    command = f"bench estimate {shlex.quote(word)} --on DEVICE"
    return UsageError(
        f"{word!r} {what}: it can be estimated, not measured", fix=f"{command}, {way}".rstrip(", ")
    )


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a model without weights or graphs.

    Attributes:
        argument: what the user typed.
        target: what an estimate needs to know.
        refusal: why it is not measured, and the way out.
    """

    argument: str
    target: EstimateTarget
    refusal: HarnessError

    def measured(self) -> Model:
        """Refuse.

        Raises:
            HarnessError: always.
        """
        raise self.refusal

    def facts(self) -> dict[str, object]:
        """What `bench models` says of it: kind and count."""
        structure = self.target.structure
        return {
            "model": self.target.name,
            "kind": None if structure is None else structure.kind_word,
            "weights": "none: estimated only",
            "parameters": self.target.parameters,
            "vocab_size": (structure and structure.vocab_size) or None,
            "max_context_tokens": None if structure is None else structure.max_context_tokens,
        }
