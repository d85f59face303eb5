"""Which files of a folder are one model in the layouts that there are, and what it is called."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from onnx import external_data_helper, helper, save_model

from harness.core.errors import ModelError, UsageError
from harness.models.exported.files import find_files, graphs_among, graphs_in
from harness.models.exported.model import Role
from harness.models.exported.safety import all_tensors
from harness.models.exported.skeleton import data_files
from harness.models.formats import refuse_format
from harness.models.naming import name_of
from harness.runner.models import find_model
from tests.builder.graph.seeded_folder import folder_of as seeded_folder
from tests.exports import EXPORTS
from tests.models.exported.tiny_graphs import external, language_model, read, saved

MERGED, ENCODER, MODEL = Role.DECODER_MERGED, Role.ENCODER, Role.MODEL


def folder_of(place: Path, *files: str) -> Path:
    """A folder of empty files: nothing here opens one."""
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).touch()
    return place


def chosen(place: Path) -> dict[Role, str]:
    """What find_files takes, without the rest."""
    return dict(find_files(place).graphs)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            ("encoder_model.onnx", "decoder_model_merged_q4.onnx"),
            {MERGED: "decoder_model_merged_q4.onnx", ENCODER: "encoder_model.onnx"},
        ),
        (
            ("encoder_model_fp16.onnx", "decoder_model_merged_q4.onnx"),
            {MERGED: "decoder_model_merged_q4.onnx", ENCODER: "encoder_model_fp16.onnx"},
        ),
        (
            (
                *("encoder_model_q4.onnx", "decoder_model_merged_q4.onnx"),
                *("encoder_model.onnx", "decoder_model_merged.onnx"),
            ),
            {MERGED: "decoder_model_merged.onnx", ENCODER: "encoder_model.onnx"},
        ),
        (
            (
                *("encoder_model_q4.onnx", "decoder_model_merged_q4.onnx"),
                "encoder_model_fp16.onnx",
            ),
            {MERGED: "decoder_model_merged_q4.onnx", ENCODER: "encoder_model_q4.onnx"},
        ),
        (
            ("decoder_model_merged_q4.onnx", "embed_tokens_fp16.onnx", "vision_encoder_q4.onnx"),
            {MERGED: "decoder_model_merged_q4.onnx"},
        ),
        (
            ("decoder_model.onnx", "decoder_with_past_model.onnx", "encoder_model.onnx"),
            {
                Role.DECODER: "decoder_model.onnx",
                Role.DECODER_WITH_PAST: "decoder_with_past_model.onnx",
                ENCODER: "encoder_model.onnx",
            },
        ),
        (("model.onnx", "model_q4.onnx", "other.onnx"), {MODEL: "model.onnx"}),
        (("model_q4.onnx",), {MODEL: "model_q4.onnx"}),
        (("anything.onnx",), {MODEL: "anything.onnx"}),
    ],
)
def test_of_each_part_the_plain_copy_is_taken_else_the_only_one(tmp_path, files, expected):
    assert chosen(folder_of(tmp_path, *files)) == expected
    assert chosen(folder_of(tmp_path / "repo", *(f"onnx/{file}" for file in files))) == expected


def test_a_half_given_by_its_file_brings_the_other_of_its_kind_else_the_plain_one(tmp_path):
    place = folder_of(
        tmp_path,
        *("decoder_model_merged_q4.onnx", "decoder_model_merged_int8.onnx"),
        *("encoder_model.onnx", "encoder_model_int8.onnx"),
    )
    plain = {MERGED: "decoder_model_merged_q4.onnx", ENCODER: "encoder_model.onnx"}
    same = {MERGED: "decoder_model_merged_int8.onnx", ENCODER: "encoder_model_int8.onnx"}
    assert chosen(place / "decoder_model_merged_q4.onnx") == plain
    assert chosen(place / "decoder_model_merged_int8.onnx") == same
    assert chosen(place / "encoder_model_int8.onnx") == same


def test_a_file_chooses_itself_where_another_form_of_it_lies_beside(tmp_path):
    """decoder_model.onnx is measured, not the merged file of the same decoder."""
    place = folder_of(tmp_path, "decoder_model.onnx", "decoder_model_merged.onnx")
    assert chosen(place / "decoder_model.onnx") == {Role.DECODER: "decoder_model.onnx"}


def test_a_configuration_names_files_in_folders(tmp_path):
    place = folder_of(tmp_path, "decoder/model.onnx", "embedding/model.onnx", "old/model.onnx")
    genai = {"model": {"decoder": {"filename": "decoder/model.onnx"}}}
    (place / "genai_config.json").write_text(json.dumps(genai), encoding="utf-8")
    found = find_files(place)
    assert found.graphs == {MODEL: "decoder/model.onnx"}
    assert found.folder == place
    assert found.config_folders[:2] == (place / "decoder", place)
    genai["model"]["encoder"] = {"filename": "embedding/model.onnx"}
    (place / "genai_config.json").write_text(json.dumps(genai), encoding="utf-8")
    assert chosen(place)[ENCODER] == "embedding/model.onnx"


@pytest.mark.parametrize("file", ["../model.onnx", "/etc/model.onnx", "no.onnx", "C:/m.onnx", 3])
def test_a_configuration_names_no_file_outside(tmp_path, file):
    folder_of(tmp_path, "model.onnx", "m/model.onnx")
    text = json.dumps({"model": {"decoder": {"filename": file}}})
    (tmp_path / "m" / "genai_config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="which is not in the folder"):
        find_files(tmp_path / "m")


def test_one_folder_per_part(tmp_path):
    """An encoder and a decoder are a pair; a decoder among other parts is the model."""
    pair = folder_of(tmp_path / "pair", "encoder/model.onnx", "decoder/model.onnx")
    assert chosen(pair) == {Role.DECODER: "decoder/model.onnx", ENCODER: "encoder/model.onnx"}
    parts = folder_of(tmp_path / "parts", "vision/model.onnx", "decoder/model.onnx")
    assert chosen(parts) == {Role.DECODER: "decoder/model.onnx"}
    assert find_files(parts).variants == ("vision/model.onnx",)
    only = folder_of(tmp_path / "phi", "cpu_and_mobile/cpu-int4-rtn-block-32/model.onnx")
    assert find_files(only).folder == only / "cpu_and_mobile" / "cpu-int4-rtn-block-32"
    assert find_files(only).name == "phi"


def test_data_lies_beside_its_graph(tmp_path):
    """Its place is relative to the graph's own folder."""
    source = EXPORTS / "optimum" / "llama-past"
    shutil.copytree(source, tmp_path / "m" / "decoder")
    folder_of(tmp_path / "m", "vision/model.onnx")
    here, below = read(source), read(tmp_path / "m")
    assert below.parameters == here.parameters
    assert below.main.file == "decoder/model.onnx"


@pytest.mark.parametrize(
    "files",
    [
        ("long/t/onnx/model_q4.onnx", "long/t/onnx/model_q4f16.onnx"),
        ("long/t/one.onnx", "long/t/two.onnx"),
        ("long/t/cpu/model.onnx", "long/t/cuda/model.onnx"),
        (
            "long/t/encoder_model.onnx",
            "long/t/decoder_model_q4.onnx",
            "long/t/decoder_model_q8.onnx",
        ),
    ],
)
def test_advice_names_a_file_from_where_the_user_stands_and_it_works(tmp_path, monkeypatch, files):
    monkeypatch.chdir(folder_of(tmp_path, *files))
    with pytest.raises(UsageError, match="several models") as caught:
        find_files(Path("long/t"))
    path = Path(caught.value.fix.partition("--model ")[2])
    assert path.is_file()
    assert (
        str(path.relative_to("long/t").as_posix())
        in find_files(path).folder.joinpath(path.name).as_posix()
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models--org--tiny-lm/snapshots/" + "0123456789abcdef" * 2 + "01234567", "tiny-lm"),
        ("models--gpt2/snapshots/607a30d", "gpt2"),
        ("repo/onnx", "repo"),
        ("Phi-4-mini/v4", "Phi-4-mini"),
        ("Phi-3-mini/cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4", "Phi-3-mini"),
        ("Qwen3-0.6B/decoder", "Qwen3-0.6B"),
        ("smol/checkpoint-1000", "smol"),
        ("smol/1.0.2/fp16", "smol"),
        ("Llama-3.2-1B/refs/pr/7", "Llama-3.2-1B"),
        ("models--org--both--dash/snapshots/607a30d/cpu-int4", "both--dash"),
        ("Phi-4/onnx/cpu-int4-awq-block-128-acc-level-4", "Phi-4"),
        ("Phi-4/gpu/gpu-int4-rtn-block-32/v2", "Phi-4"),
        ("gemma/w4a16-g128", "gemma"),
        ("gemma/q4_k_m", "gemma"),
        ("gemma/4bit", "gemma"),
        ("gemma/fp32-opset17", "gemma"),
        ("gemma/epoch_3", "gemma"),
        ("gemma/step-1000/pytorch", "gemma"),
        ("gemma/model_no_gather_q4", "gemma"),
        ("gemma/int4-b32", "gemma"),
        ("models/full", "full"),
        ("models/lm", "lm"),
        ("models/mobius", "mobius"),
        ("gemma/int4_per_channel", "gemma"),
        ("t5-v1_1", "t5-v1_1"),
        ("deberta-v3", "deberta-v3"),
        ("gpt2", "gpt2"),
        ("opt-125m", "opt-125m"),
        ("phi-2", "phi-2"),
        ("bge-m3", "bge-m3"),
        ("2b-it", "2b-it"),
    ],
)
def test_a_path_names_its_model(tmp_path, path, name):
    assert name_of(tmp_path / path) == name


def test_a_file_names_its_model_where_its_own_name_says_only_what_it_is():
    assert name_of(Path("/x/bert-tiny/onnx"), "model_quantized") == "bert-tiny"
    assert name_of(Path("/x/smol/onnx"), "decoder_model_merged_q4f16") == "smol"
    assert name_of(Path("/x/smol"), "whisper-base") == "whisper-base"
    assert name_of(Path("/onnx"), "model") == "model"


def hub_cache(home: Path, commits: Mapping[str, Mapping[str, bytes]], main: str = "") -> Path:
    """A repository as huggingface_hub keeps it: blobs, and links to them in snapshots."""
    (home / "blobs").mkdir(parents=True)
    if main:
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(main, encoding="utf-8")
    for commit, files in commits.items():
        for file, content in files.items():
            blob = home / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            link = home / "snapshots" / commit / file
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    return home


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_of_the_hubs_cache_means_its_snapshot(tmp_path, monkeypatch):
    """Of both kinds of model: the name is the repository's, the sizes are those of the blobs."""
    checkpoint = {
        name: (seeded_folder("llama-tied") / name).read_bytes()
        for name in ("config.json", "model.safetensors")
    }
    graph = external(language_model(), tmp_path / "made", "weights.bin")
    export = {f"onnx/{file.name}": file.read_bytes() for file in graph.parent.iterdir()}
    old, new = "0" * 40, "a" * 40
    commits = {old: export, new: {**export, **checkpoint}}
    hub_cache(tmp_path / "models--org--toy", commits, main=old)
    hub_cache(tmp_path / "models--org--other", {new: checkpoint})
    monkeypatch.chdir(tmp_path)
    for place in (
        "models--org--toy",
        "models--org--toy/snapshots",
        f"models--org--toy/snapshots/{old}",
    ):
        facts = find_model(place, tmp_path / "cache").facts()
        assert (facts["model"], facts["weights"]) == ("toy", "exported")
        (data,) = facts["data_files"]
        assert data == {"name": "weights.bin", "size_bytes": len(export["onnx/weights.bin"])}
    other = find_model(f"models--org--toy/snapshots/{new}").facts()
    assert (other["model"], other["weights"]) == ("toy", "trained")
    (note,) = other["notes"]
    assert Path(note.partition("--model ")[2]).is_file()
    assert find_model("models--org--other").facts()["model"] == "other"
    monkeypatch.chdir("models--org--other")
    assert find_model(".").facts()["model"] == "other"


@pytest.mark.parametrize("location", ["w.safetensors", "./w.bin", "data/0001", "w" * 200])
def test_a_graph_tells_its_data_files_whatever_they_are_called(tmp_path, location):
    """Of every place in a graph that holds tensors; nothing is said of what is no graph."""
    proto = language_model()
    inner = helper.make_graph([], "inner", [], [])
    inner.initializer.append(proto.graph.initializer[0])
    proto.graph.initializer[0].name += "_too"
    proto.graph.node.append(helper.make_node("If", ["c"], [], then_branch=inner, else_branch=inner))
    proto.functions.append(
        helper.make_function(
            "own",
            "f",
            [],
            ["y"],
            [helper.make_node("Constant", [], ["y"], value=inner.initializer[0])],
            [helper.make_opsetid("", 21)],
        )
    )
    last = helper.make_node("EPContext", [], ["z"], embed_mode=0, ep_cache_context="ctx.bin")
    held = helper.make_node("EPContext", [], ["z"], embed_mode=1, ep_cache_context="held")
    proto.graph.node.extend([last, held])
    for number, tensor in enumerate(all_tensors(proto)):
        external_data_helper.set_external_data(tensor, f"{location}{number % 5}", number, 1)
    (tmp_path / "a.onnx").write_bytes(proto.SerializeToString())
    place = location.removeprefix("./")
    assert {*data_files(tmp_path / "a.onnx")} == {*(f"{place}{n}" for n in range(5)), "ctx.bin"}
    for name, content in (("empty", b""), ("words", b"location" * 9), ("cut", b"\x3a\xff\x01")):
        (tmp_path / name).write_bytes(content)
        assert data_files(tmp_path / name) == ()
    assert data_files(tmp_path / "absent") == ()


@pytest.mark.parametrize(
    "files",
    [
        ("a.onnx", "onnx/b.onnx"),
        ("onnx/b.onnx", "onnx/c.onnx", "x/d.onnx", "onnx/deep/e.onnx"),
        ("decoder/model.onnx", "encoder/model.onnx", ".hidden/model.onnx"),
        ("a/b/c/d.onnx", "a/b/c/d/e.onnx", "words.txt"),
        ("words.txt",),
    ],
)
def test_a_list_of_files_and_a_folder_have_the_same_graphs(tmp_path, files):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert sorted(graphs_among(files)) == sorted(graphs_in(tmp_path))


def test_safetensors_of_a_graph_below_are_other_files(tmp_path):
    """The graph of onnx/ names onnx/model.safetensors; the folder's own are its checkpoint."""
    shutil.copytree(seeded_folder("llama-tied"), tmp_path / "m")
    (tmp_path / "m" / "onnx").mkdir()
    save_model(
        language_model(),
        tmp_path / "m" / "onnx" / "model.onnx",
        save_as_external_data=True,
        location="model.safetensors",
        size_threshold=0,
    )
    assert find_model(tmp_path / "m").facts()["weights"] == "trained"
    assert find_model(tmp_path / "m" / "onnx").facts()["weights"] == "exported"


def test_safetensors_may_be_the_data_of_a_graph(tmp_path):
    """Then the graph is the model, whatever config.json beside it describes."""
    shutil.copytree(seeded_folder("llama-tied"), tmp_path / "m")
    saved(language_model(), tmp_path / "m")
    both = find_model(tmp_path / "m")
    assert both.facts()["weights"] == "trained"
    (note,) = both.facts()["notes"]
    assert f"--model {tmp_path / 'm' / 'model.onnx'}" in note
    proto = language_model()
    data = tmp_path / "m" / "model.safetensors"
    data.unlink()
    save_model(
        proto,
        tmp_path / "m" / "model.onnx",
        save_as_external_data=True,
        location=data.name,
        size_threshold=0,
    )
    assert find_model(tmp_path / "m").facts()["weights"] == "exported"


def test_where_a_class_is_not_built_its_graph_is_measured_and_said_so(tmp_path):
    place = tmp_path / "mpnet"
    saved(language_model(), place / "onnx")
    config = {"architectures": ["MPNetModel"], "hidden_size": 8}
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (place / "model.safetensors").write_bytes(b"")
    facts = find_model(place, tmp_path / "cache").facts()
    assert facts["model"] == "mpnet"
    assert any("MPNetModel" in note for note in facts["notes"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.ort", b"\x18\0\0\0ORTM", "ORT"),
        ("m.ggml", b"tjgg", "of ggml before GGUF"),
        ("m.tflite", b"\x1c\0\0\0TFL3", "LiteRT"),
        ("pytorch_model.bin", b"PK\3\4", "PyTorch"),
        ("model.safetensors", b"\0" * 8, "weights alone"),
    ],
)
def test_other_formats_are_called_by_their_names(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=said):
        find_model(tmp_path / name)
    if not name.endswith(".safetensors"):
        (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
        error = refuse_format(tmp_path)
        assert error is not None
        assert said in error.problem
        with pytest.raises(UsageError, match=said):
            find_model(tmp_path)


def test_links_of_parts_become_files(tmp_path):
    """A graph of a part's folder that is a link, and its data: as in a snapshot of the hub."""
    from harness.store.exported_links import without_links

    home = tmp_path / "models--a--b"
    place = home / "snapshots" / "abc1234" / "decoder"
    saved(language_model(), place)
    (home / "blobs").mkdir()
    (place / "model.onnx").rename(home / "blobs" / "1")
    (place / "model.onnx").symlink_to("../../../blobs/1")
    folder_of(place.parent, "vision/model.onnx")
    found = without_links(find_files(place.parent), tmp_path / "cache")
    assert (found.folder / "decoder" / "model.onnx").is_file()
    assert found.name == "b"
