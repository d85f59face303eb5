"""Everything that reads a file of somebody else's: what it is given, and what it may end in.

A reader of a target gets hostile bytes and an empty folder. It may return, or raise HarnessError.
"""

import json
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import structs

from harness.results.document import decode_document, encode_document
from harness.results.entries import OutlinedCell, OutlineEntry, RunEntry, SamplesEntry
from harness.results.environment import MachineFacts
from harness.results.journal import ENTRY_START, SUFFIX, encode_line
from tests.exports import EXPORTS
from tests.fuzz.mutations import BINARY, JSON, TEXT, Mutation
from tests.results.results_samples import unchecked

ROOT = Path(__file__).resolve().parents[2]
JOURNAL = ROOT / "tests" / "fixtures" / "journals" / "format-1.journal.jsonl"
STYLES = ("table", "csv", "junit", "openmetrics", "benchstat")
TEXT_OF_MODEL = "To be, or not to be: that is the question."


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: of the kind.
        seeds: sound files of it.
        read: reads one, given an empty folder.
        mutations: what is done to a seed.
        cases: in CI.
    """

    name: str
    seeds: Callable[[], tuple[bytes, ...]]
    read: Callable[[bytes, Path], None]
    mutations: tuple[Mutation, ...]
    cases: int

    def hostile(self, count: int) -> Iterator[bytes]:
        """Yield hostile copies of the seeds, the same every time."""
        chance = random.Random(self.name)
        seeds = self.seeds()
        for number in range(count):
            content = seeds[number % len(seeds)]
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                content = chance.choice(self.mutations)(content, chance) or content
            yield content


# Plans and specs.


PLAN = b"""model = ["bytelm"]
quant = ["fp32", "int4"]
prompt = ["8-32*2", 64]
gen = [4]
pg = [[8, 4]]
turns = ["2x8+4"]
depth = [0, 16]
batch = [1, 2]
threads = ["1"]
rounds = 5
seed = 7
budget = "5m"
warm_seconds = 0.5
sample_seconds = 0.25
precision = "5%"
max_rounds = 30
session_option = ["session.intra_op.allow_spinning=0"]

[[part]]
quant = ["int8"]
depth = [8]
"""


def _plan_seeds() -> tuple[bytes, ...]:
    """One with most keys, and the shipped ones about the smallest model."""
    shipped = (ROOT / "configs" / f"{name}.toml" for name in ("ci", "sweep"))
    return (PLAN, *(re.sub(rb"smollm2-135m", b"bytelm", path.read_bytes()) for path in shipped))


def _spec_seeds() -> tuple[bytes, ...]:
    """Architectures of all kinds, each under the name of the file that it will lie in."""
    paths = sorted((ROOT / "models").glob("*.toml"))
    named = ((path.stem.encode(), path.read_bytes()) for path in paths)
    return tuple(text.replace(b'"%b"' % name, b'"tiny"', 1) for name, text in named)


def read_plan(content: bytes, folder: Path) -> None:
    """A plan: its file, then its cells."""
    from harness.runner.plan import make_plan
    from harness.runner.settings import load_settings

    path = folder / "plan.toml"
    path.write_bytes(content)
    make_plan(load_settings(str(path)), usable_threads=2, folder=folder)


def read_spec(content: bytes, folder: Path) -> None:
    """An architecture: its file, its parameters, its parts."""
    from harness.models.catalog import catalog
    from harness.models.specs.dissect import spec_structure
    from harness.models.specs.tensors import parameters

    path = folder / "tiny.toml"
    path.write_bytes(content)
    spec = catalog.read_spec(path)
    parameters(spec)
    spec_structure(spec)


# What is stored: without checksums, as older versions wrote it, so that damage goes further.


@cache
def document_seeds() -> tuple[bytes, ...]:
    """Two records of the reference run."""
    stored = decode_document((ROOT / "results" / "reference" / "default.json").read_bytes())
    table = json.loads(unchecked(encode_document(stored)))
    return (json.dumps(table | {"records": table["records"][:2]}).encode(),)


def read_document(content: bytes, folder: Path) -> None:
    """A results document, in every format, explained and compared."""
    from harness.analysis.compare import Question, compare_documents
    from harness.report.compare_table import draw_json
    from harness.report.explained import explain_document
    from harness.report.render import render

    document = decode_document(content)
    for style in STYLES:
        render(document, style)
    sound = structs.replace(decode_document(document_seeds()[0]), run_id="run-sound")
    draw_json(compare_documents([sound], [document], Question(), force=True), [])
    explain_document(document, None, "table")


@cache
def journal_seeds() -> tuple[bytes, ...]:
    """Entries without their checks, one a line: of format 1, and of a run that was killed."""
    old = b"\n".join(line[ENTRY_START:-1] for line in JOURNAL.read_bytes().splitlines())
    document = decode_document(document_seeds()[0])
    entries: list[Any] = [
        RunEntry(
            run_id="run-x",
            created_utc="now",
            run_digest="",
            plan=document.plan,
            environment=MachineFacts(),
        )
    ]
    cells = []
    for record in document.records:
        before = structs.replace(record, samples=(), memory=())
        where = {"group": "g", "workload": record.cell.workload}
        cells.append(OutlinedCell(build=("bytelm", "int4"), record=before, **where))
        entries += [
            msgspec.convert({**msgspec.to_builtins(one), **where, "kind": "test"}, SamplesEntry)
            for one in record.samples[:2]
        ]
    entries.insert(1, OutlineEntry(cells=tuple(cells), command="bench", method_version=2))
    return (b"\n".join(encode_line(entry)[ENTRY_START:-2] for entry in entries), old)


def read_journal(content: bytes, folder: Path) -> None:
    """A journal whose lines verify, whatever stands in them."""
    from harness.report.render import render
    from harness.results.journal import read_journal as entries_of
    from harness.runner.loop.partial import read_partial

    path = folder / f"run-x{SUFFIX}"
    lines = (
        b'{"crc32":"%08x","entry":%b}\n' % (zlib.crc32(body), body) for body in content.split(b"\n")
    )
    path.write_bytes(b"".join(lines))
    if b'"outline"' in content:
        render(read_partial(path), "table")
    else:
        entries_of(path)


# Cells and results of a fleet.


@cache
def cell_seeds() -> tuple[bytes, ...]:
    """Cells of a decoder and of an encoder, their hashes left out: they are put in again."""
    from harness.fleet.laying import cells_of
    from harness.runner.settings import load_settings

    models = ("bytelm", "all-minilm-l6-v2")
    cells = cells_of(load_settings("ci", model=models, quant=("int4",), threads=("1", "all")))
    return tuple(re.sub(rb',"hash":"\w+"', b"", cell.encoded(), count=1) for cell in cells)


def read_cell(content: bytes, folder: Path) -> None:
    """A cell whose hash fits, whatever stands in it: checked, found and laid out."""
    from harness.fleet.cells import _hash_of, check_versions, parse_cell
    from harness.fleet.model_files import find_word
    from harness.runner.plan import make_plan

    try:
        table = json.loads(content)
        table["hash"] = _hash_of(table)
        content = json.dumps(table).encode()
    except (ValueError, TypeError, RecursionError):
        pass  # no JSON object: it is given as it is
    cell = parse_cell(content)
    check_versions(cell)
    make_plan(cell.settings_for(find_word(cell, [folder])), usable_threads=2, folder=folder)


@cache
def merged_seeds() -> tuple[bytes, ...]:
    """Two runs as one document."""
    from harness.results.merged import joined

    run = decode_document(document_seeds()[0])
    both = joined([run, structs.replace(run, run_id="run-2")], "merge-1")
    return (unchecked(encode_document(both)),)


def read_merged(content: bytes, folder: Path) -> None:
    """A document of several runs: drawn, taken apart, and merged again with itself."""
    from harness.fleet.merge import merge
    from harness.report.render import render
    from harness.results.machines import machines_of

    document = decode_document(content)
    for style in STYLES:
        render(document, style)
    machines_of(document)
    encode_document(merge([document, document]).document)


# Models of others.


@cache
def export_files(name: str) -> dict[str, bytes]:
    """An export's files."""
    return {path.name: path.read_bytes() for path in (EXPORTS / name).iterdir() if path.is_file()}


EXPORTS_TRIED = ("genai/qwen2-int4", "optimum/gpt2-plain", "optimum/vit")


def _export_seeds(name: str) -> tuple[bytes, ...]:
    return (export_files(name)["model.onnx"],)


def read_export(
    content: bytes, folder: Path, name: str = EXPORTS_TRIED[0], file: str = "model.onnx"
) -> None:
    """A graph, or another file of a model, beside its sound ones."""
    from harness.store import exported_worker

    for beside, data in export_files(name).items():
        (folder / beside).write_bytes(data)
    (folder / file).write_bytes(content)
    exported_worker.recognise(str(folder), str(folder / "cache"), None)


def _genai_seeds() -> tuple[bytes, ...]:
    return (export_files(EXPORTS_TRIED[0])["genai_config.json"],)


@cache
def checkpoint() -> dict[str, bytes]:
    """A tiny checkpoint's files."""
    from tests.tiny import write_checkpoint

    with TemporaryDirectory() as folder:
        written = write_checkpoint(Path(folder) / "tiny")
        return {path.name: path.read_bytes() for path in written.iterdir()}


def _safetensors_seeds() -> tuple[bytes, ...]:
    """The header alone: length and data are put around it."""
    content = checkpoint()["model.safetensors"]
    return (content[8 : 8 + int.from_bytes(content[:8], "little")],)


def read_safetensors(content: bytes, folder: Path) -> None:
    """Weights whose header is hostile, before as many bytes as the sound ones have."""
    from harness.models.weights.checkpoint import CheckpointWeights
    from harness.models.weights.source import holds_embedding, resolve_model

    sound = checkpoint()["model.safetensors"]
    data = sound[8 + int.from_bytes(sound[:8], "little") :]
    (folder / "config.json").write_bytes(checkpoint()["config.json"])
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content + data)
    source = resolve_model(str(folder))
    holds_embedding(source)
    CheckpointWeights(source).tensor("model.norm.weight")


def _config_seeds() -> tuple[bytes, ...]:
    """The tiny model's, and those of exports."""
    names = ("optimum/gpt2-plain", "optimum/bert", "optimum/gemma2-past")
    exports = (export_files(name)["config.json"] for name in names)
    return (checkpoint()["config.json"], *exports)


def read_config(content: bytes, folder: Path) -> None:
    """A config.json: as a model that is built, and as one that is only counted."""
    from harness.core.errors import HarnessError
    from harness.models.catalog.target import config_target
    from harness.models.configs.config import spec_from_file
    from harness.models.specs.tensors import parameters

    path = folder / "config.json"
    path.write_bytes(content)
    try:
        parameters(spec_from_file(path, "tiny"))
    except HarnessError:
        config_target(path)


def _tokenizer_seeds() -> tuple[bytes, ...]:
    return tuple(
        export_files(name)["tokenizer.json"] for name in ("genai/qwen2-int4", "optimum/gpt2-plain")
    )


def read_tokenizer(content: bytes, folder: Path) -> None:
    """A tokenizer.json: opened, and asked for the tokens of a text."""
    from harness.models.texts.tokens import read_tokens

    (folder / "tokenizer.json").write_bytes(content)
    (folder / "heldout.txt").write_text(TEXT_OF_MODEL)
    vocabulary = len(json.loads(_tokenizer_seeds()[0])["model"]["vocab"])
    read_tokens(folder, vocabulary, None)


@cache
def _gguf_seeds() -> tuple[bytes, ...]:
    from tests.models.gguf_files import tiny_gguf

    with TemporaryDirectory() as folder:
        return (tiny_gguf(Path(folder) / "tiny.gguf").read_bytes(),)


def read_gguf(content: bytes, folder: Path) -> None:
    """A GGUF file, and all that is said of it."""
    from harness.models.gguf.header import gguf_name
    from harness.models.gguf.reading import read_header

    path = folder / "tiny.gguf"
    path.write_bytes(content)
    header = read_header(path)
    gguf_name(header)
    for name in ("bits_per_weight", "by_type", "main_type", "level", "context_tokens"):
        getattr(header, name)
    _ = header.cache_values_per_token


TARGETS = (
    Target("plan", _plan_seeds, read_plan, TEXT, 100),
    Target("spec", _spec_seeds, read_spec, TEXT, 120),
    Target("document", document_seeds, read_document, JSON, 90),
    Target("cell", cell_seeds, read_cell, JSON, 300),
    Target("merged", merged_seeds, read_merged, JSON, 40),
    Target("journal", journal_seeds, read_journal, JSON, 120),
    *(
        Target(
            f"onnx-{name.rpartition('/')[2]}",
            partial(_export_seeds, name),
            partial(read_export, name=name),
            BINARY,
            40,
        )
        for name in EXPORTS_TRIED
    ),
    Target("genai_config", _genai_seeds, partial(read_export, file="genai_config.json"), JSON, 40),
    Target("safetensors", _safetensors_seeds, read_safetensors, JSON, 360),
    Target("config", _config_seeds, read_config, JSON, 380),
    Target("tokenizer", _tokenizer_seeds, read_tokenizer, JSON, 400),
    Target("gguf", _gguf_seeds, read_gguf, BINARY, 480),
)
