"""Which files of a repository are wanted; nothing is fetched: a record answers for the hub."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.core.errors import ModelError, UsageError
from harness.store.hub import HubName, local_name, parse_hub_name, wanted_files

COPIES = (
    *("README.md", "config.json", "tokenizer.json", "pytorch_model.bin", "onnx/run_me.so"),
    *("onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_q4.onnx", "onnx/model_q4.onnx_data"),
)
LLAMA = Path(__file__).parents[1] / "fixtures" / "logits" / "llama-tied"


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("hf:org/name", HubName("org/name")),
        ("hf:org/name@v1.0", HubName("org/name", "v1.0")),
        ("hf:org/name@refs/pr/1:onnx", HubName("org/name", "refs/pr/1", "onnx")),
        ("hf:org/name:onnx/model_q4.onnx", HubName("org/name", "main", "onnx/model_q4.onnx")),
        ("hf:org/name:onnx/", HubName("org/name", "main", "onnx")),
    ],
)
def test_a_name_is_read_in_all_its_parts(argument, name):
    assert parse_hub_name(argument) == name


@pytest.mark.parametrize(
    "argument", ["hf:", "hf:name", "hf:a/b/c", "hf:../b", "hf:a/b:../c", "hf:a/b:/etc", "hf:a/b@"]
)
def test_another_form_is_refused(argument):
    with pytest.raises(UsageError, match="no model on the hub"):
        parse_hub_name(argument)


def test_a_folder_is_called_by_what_was_chosen():
    assert local_name(HubName("org/Some.Model")) == "Some.Model"
    assert local_name(HubName("org/m", "main", "onnx/model_q4.onnx")) == "m-onnx-model_q4"


@dataclass
class Repo:
    """A repository that tells what it was asked: its JSON files, and the data files of graphs."""

    files: tuple[str, ...]
    json: dict[str, object] = field(default_factory=dict)
    data: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def read(self, file):
        assert file in self.files
        self.asked.append(file)
        return self.json.get(file, {})

    def data_of(self, graph):
        assert graph in self.files
        self.asked.append(graph)
        return self.data.get(graph, ())

    def wanted(self, inside="", revision="main"):
        sizes = {**dict.fromkeys(self.files), **self.sizes}
        return wanted_files(HubName("a/b", revision, inside), sizes, self)

    def weights(self, inside=""):
        """What is chosen but for descriptions, as files of the repository."""
        files = self.wanted(inside).files
        return sorted(file for file in files if not file.endswith((".json", ".model", ".txt")))


def onnx_folder(*stems, chunks=()):
    """A repository with copies of a graph in onnx/, each with data of its own."""
    graphs = {f"onnx/{stem}.onnx": (f"{stem}.onnx_data",) for stem in stems}
    for stem, file in chunks:
        graphs[f"onnx/{stem}.onnx"] += (file,)
    data = [f"onnx/{file}" for files in graphs.values() for file in files]
    return Repo(("config.json", *graphs, *data), data=graphs)


MANY = ("model", "model_q4", "model_q4f16", "model_fp16")
HALVES = ("encoder_model", "encoder_model_q4", "decoder_model_merged", "decoder_model_merged_q4")
LLAMA_CONFIG = json.loads((LLAMA / "config.json").read_text(encoding="utf-8"))
MPNET = {"architectures": ["MPNetModel"]}
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


def test_of_a_folder_with_graphs_the_plain_one_and_its_data_are_wanted():
    """And what describes it from above; no other copy, no program, no pickle, no readme."""
    repo = Repo(COPIES, data={"onnx/model.onnx": ("model.onnx_data",)})
    assert repo.wanted("onnx").files == {
        "onnx/model.onnx": "model.onnx",
        "onnx/model.onnx_data": "model.onnx_data",
        "config.json": "config.json",
        "tokenizer.json": "tokenizer.json",
    }
    assert repo.asked == ["onnx/model.onnx"]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("onnx/model.onnx", ["model.onnx", "model.onnx_data"]),
        ("onnx", ["model.onnx", "model.onnx_data"]),
        ("", ["model.onnx", "model.onnx_data"]),
        ("onnx/model_q4.onnx", ["model_q4.onnx", "model_q4.onnx_data"]),
        ("onnx/model_fp16.onnx", ["model_fp16.onnx", "model_fp16.onnx_data", "weights-1.bin"]),
    ],
)
def test_of_many_copies_one_and_the_data_that_it_names_are_wanted(inside, expected):
    repo = onnx_folder(*MANY, chunks=[("model_fp16", "weights-1.bin")])
    assert repo.weights(inside) == [f"onnx/{file}" for file in expected]


def test_a_half_brings_the_other_one_of_its_kind():
    found = onnx_folder(*HALVES).weights("onnx/decoder_model_merged_q4.onnx")
    assert found == [
        f"onnx/{stem}_q4.{ending}"
        for stem in ("decoder_model_merged", "encoder_model")
        for ending in ("onnx", "onnx_data")
    ]


def test_data_files_may_have_any_name_and_lie_in_folders():
    graphs = {"m.onnx": ("0001", "data/w.bin"), "other.onnx": ("2",)}
    repo = Repo((*graphs, "0001", "data/w.bin", "2", "m.onnx_data", "m.data"), data=graphs)
    assert repo.wanted("m.onnx").files == {file: file for file in ("m.onnx", "0001", "data/w.bin")}


def test_safetensors_that_a_graph_names_are_its_data():
    """With a class that is built here, and none the less the graph is the model."""
    files = ("config.json", "model.onnx", "model.safetensors")
    graph = {"model.onnx": ("model.safetensors",)}
    config = {"config.json": LLAMA_CONFIG}
    assert Repo(files, config, graph).weights() == ["model.onnx", "model.safetensors"]
    assert Repo(files, config).weights() == ["model.safetensors"]
    genai = {"genai_config.json": {"model": {"decoder": {"filename": "model.onnx"}}}}
    described = Repo((*files, "genai_config.json"), config | genai, graph)
    assert described.weights() == ["model.onnx", "model.safetensors"]


def test_a_large_graph_is_not_fetched_to_be_asked():
    """Its weights are its own; the note says how to get it."""
    files = ("config.json", "model.onnx", "model.safetensors")
    repo = Repo(files, {"config.json": LLAMA_CONFIG}, sizes={"model.onnx": 2 << 30})
    assert repo.weights() == ["model.safetensors"]
    assert repo.asked == ["config.json"]
    assert repo.wanted(revision="v1").note.endswith("--model hf:a/b@v1:model.onnx")


def test_the_index_names_the_weights():
    """Not the second copy of them that some repositories have."""
    files = ("config.json", INDEX, *SHARDS, "consolidated.safetensors", "adapter.safetensors")
    index = {"weight_map": {"a": SHARDS[0], "b": SHARDS[1], "c": SHARDS[0]}}
    repo = Repo(files, {"config.json": LLAMA_CONFIG, INDEX: index})
    assert {*repo.wanted().files} == {"config.json", INDEX, *SHARDS}
    assert repo.asked == ["config.json", INDEX]
    single = Repo((*files, "model.safetensors"), repo.json)
    assert single.weights() == ["model.safetensors"]
    lost = Repo(tuple(file for file in files if file != SHARDS[1]), repo.json)
    with pytest.raises(ModelError, match="which is not there") as caught:
        lost.wanted()
    assert SHARDS[1] in caught.value.fix


def test_of_a_class_that_is_not_built_here_the_graph_is_taken_and_said_so():
    repo = onnx_folder("model", "model_q4")
    both = Repo((*repo.files, "model.safetensors"), {"config.json": MPNET}, repo.data)
    found = both.wanted()
    assert {*found.files} == {"config.json", "onnx/model.onnx", "onnx/model.onnx_data"}
    assert found.inside == "onnx"
    assert found.note.startswith("its graph onnx/model.onnx is taken: ")
    assert "MPNetModel" in found.note


def test_of_a_class_that_is_not_built_here_and_has_no_graph_no_weights_are_fetched():
    repo = Repo(("config.json", *SHARDS, INDEX, "tokenizer.json"), {"config.json": MPNET})
    found = repo.wanted()
    assert {*found.files} == {"config.json", "tokenizer.json"}
    assert repo.asked == ["config.json"]
    assert "MPNetModel" in found.note


def test_of_a_class_that_is_built_here_the_graphs_are_named():
    repo = onnx_folder("model", "model_q4")
    both = Repo((*repo.files, "model.safetensors"), {"config.json": LLAMA_CONFIG}, repo.data)
    assert both.weights() == ["model.safetensors"]
    assert both.wanted().note.endswith("its graph: --model hf:a/b:onnx/model.onnx")
    assert both.asked == ["config.json", "config.json"]


def test_weights_without_a_configuration_are_refused_before_they_are_fetched():
    adapter = Repo(("adapter_config.json", "adapter_model.safetensors"))
    with pytest.raises(ModelError, match=r"no config\.json"):
        adapter.wanted()


@pytest.mark.parametrize(
    ("files", "genai", "expected"),
    [
        (
            ("decoder/model.onnx", "encoder/model.onnx", "decoder/config.json", "config.json"),
            None,
            {"decoder/model.onnx", "encoder/model.onnx", "decoder/config.json", "config.json"},
        ),
        (
            ("text/model.onnx", "vision/model.onnx", "genai_config.json", "config.json"),
            {"decoder": {"filename": "text/model.onnx"}},
            {"text/model.onnx", "genai_config.json", "config.json"},
        ),
        (
            ("a.onnx", "b.onnx", "genai_config.json"),
            {"decoder": {"filename": "b.onnx"}, "encoder": {"filename": "a.onnx"}},
            {"a.onnx", "b.onnx", "genai_config.json"},
        ),
        (
            ("cpu/int4/genai_config.json", "cpu/int4/m.onnx", "cpu/int4/m_q.onnx", "config.json"),
            {"decoder": {"filename": "m.onnx"}},
            {"genai_config.json", "m.onnx", "config.json"},
        ),
    ],
)
def test_parts_in_folders_are_chosen_as_those_of_a_local_folder(files, genai, expected):
    names = {file: {"model": genai} for file in files if file.endswith("genai_config.json")}
    assert {*Repo(files, names).wanted().files.values()} == expected


def test_a_graph_that_names_what_is_not_there_is_refused():
    repo = Repo(("m.onnx", "x/n.onnx"), data={"m.onnx": ("w.bin",)})
    with pytest.raises(ModelError, match=r"keeps its data in 'w\.bin'") as caught:
        repo.wanted()
    assert caught.value.fix == "one of: hf:a/b:x"
    genai = {"genai_config.json": {"model": {"decoder": {"filename": "../m.onnx"}}}}
    with pytest.raises(ModelError, match="not in the folder"):
        Repo(("m.onnx", "genai_config.json"), genai).wanted()


def test_a_graph_that_names_what_lies_outside_brings_nothing_of_it():
    """It is refused when it is looked at; nothing is put outside the model's folder."""
    places = ("../up.bin", "/etc/passwd")
    repo = Repo(("up.bin", "onnx/m.onnx"), data={"onnx/m.onnx": places})
    assert repo.wanted("onnx").files == {"onnx/m.onnx": "m.onnx"}


@pytest.mark.parametrize(("revision", "said"), [("main", ""), ("v1.0", "@v1.0")])
def test_of_several_copies_one_is_named_as_it_is_typed(revision, said):
    for inside in ("onnx", ""):
        with pytest.raises(UsageError) as caught:
            onnx_folder("model_q4", "model_q8").wanted(inside, revision)
        assert caught.value.fix.endswith(f"--model hf:a/b{said}:onnx/model_q4.onnx")
        assert "holds several models: model_q4.onnx, model_q8.onnx" in caught.value.problem


def test_the_nearest_description_is_wanted():
    found = Repo((*COPIES, "onnx/config.json")).wanted("onnx").files
    assert [file for file, place in found.items() if place == "config.json"] == ["onnx/config.json"]


def test_where_there_is_no_model_the_places_are_named():
    with pytest.raises(ModelError, match="no model at 'tools'") as caught:
        Repo((*COPIES, "tools/x.bin")).wanted("tools", "v1")
    assert caught.value.fix == "one of: hf:a/b@v1:onnx"
    with pytest.raises(ModelError, match="no model at its top") as caught:
        Repo(("config.json", "pytorch_model.bin")).wanted()
    assert "other formats are not read" in caught.value.fix
