"""Models of the hub: which files, at which commit, in what words it fails; against a stub."""

import json
import sys
from dataclasses import replace

import onnx
import pytest

import harness
from harness.core.errors import DeviceError, ModelError, StorageError
from harness.models.weights.source import hub_origin
from harness.runner.loop.fetched import with_fetched
from harness.runner.models import find_model
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.store import fetch
from harness.store.fetch import Hub, fetch_model
from harness.store.hub import HubName
from tests.builder.graph.seeded_folder import folder_of
from tests.exports import EXPORTS
from tests.store.hub_stub import COMMIT, OLDER, running_stub

LLAMA = folder_of("llama-tied")
EXPORT = EXPORTS / "optimum" / "llama-past"
REPO, FILES = "toys/llama", ("config.json", "model.safetensors")


def naming(*files):
    """The bytes of a graph whose tensors lie in these files."""
    graph = onnx.helper.make_graph([], "g", [], [])
    for file in files:
        tensor = onnx.TensorProto(name=file, data_type=1, dims=[1], raw_data=b"1234")
        onnx.external_data_helper.set_external_data(tensor, file, 0, 4)
        graph.initializer.append(tensor)
    return onnx.helper.make_model(graph).SerializeToString()


GRAPHS = {
    "README.md": b"words",
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b'{"of": "the top"}',
    "pytorch_model.bin": b"never",
    "onnx/model.onnx": naming("model.onnx_data"),
    "onnx/model.onnx_data": b"numbers" * 9000,
    "onnx/model_q4.onnx": naming("model_q4.onnx_data"),
    "onnx/model_q4.onnx_data": b"small numbers",
    "onnx/run_me.so": b"never",
}


def quiet(line):
    """Say nothing."""


@pytest.fixture
def stub():
    """A hub with a folder of safetensors at two commits, and one of graphs."""
    with running_stub() as found:
        whole = {name: (LLAMA / name).read_bytes() for name in FILES}
        found.files[REPO, COMMIT] = {**whole, "README.md": b"new"}
        found.files[REPO, OLDER] = whole
        found.files["toys/graphs", COMMIT] = dict(GRAPHS)
        yield found


@pytest.fixture
def hub(stub, tmp_path):
    return Hub(endpoint=stub.address, cache=tmp_path / "hub-cache")


def inside(folder):
    """Files of a fetched folder, without what we wrote."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "hub.json"
    }


def test_a_model_lies_in_the_cache_as_files_of_its_own(hub, tmp_path):
    """The hub's cache holds links; what ONNX Runtime opens are none, and have one name each."""
    folder = fetch_model("hf:toys/graphs:onnx", tmp_path / "cache", hub, quiet)
    assert folder.name == "graphs-onnx"
    assert (folder / "model.onnx_data").read_bytes() == GRAPHS["onnx/model.onnx_data"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.is_symlink() or path.stat().st_nlink > 1]


def test_the_commit_is_recorded_and_a_revision_is_its_own_folder(hub, tmp_path):
    newest = fetch_model("hf:toys/llama", tmp_path / "cache", hub, quiet)
    older = fetch_model("hf:toys/llama@v1", tmp_path / "cache", hub, quiet)
    assert hub_origin(newest) == f"hf:{REPO}@{COMMIT}"
    assert hub_origin(older) == f"hf:{REPO}@{OLDER}"
    assert json.loads((older / "hub.json").read_text(encoding="utf-8"))["revision"] == "v1"
    assert inside(newest) == set(FILES)


def test_nothing_is_transferred_twice(stub, hub, tmp_path):
    """A branch is looked up again, and a commit is not even that."""
    fetch_model("hf:toys/llama", tmp_path / "cache", hub, quiet)
    stub.asked.clear()
    fetch_model("hf:toys/llama", tmp_path / "cache", hub, quiet)
    assert [path for _, path, _ in stub.asked] == [f"/api/models/{REPO}/revision/main"]
    stub.asked.clear()
    fetch_model(f"hf:toys/llama@{COMMIT}", tmp_path / "cache", hub, quiet)
    assert stub.asked == []


def test_offline_takes_what_was_fetched(hub, tmp_path):
    folder = fetch_model("hf:toys/llama", tmp_path / "cache", hub, quiet)
    offline = Hub(endpoint="http://127.0.0.1:9", cache=hub.cache, offline=True)
    assert fetch_model("hf:toys/llama", tmp_path / "cache", offline, quiet) == folder
    again = fetch_model(f"hf:toys/llama@{COMMIT}", tmp_path / "other", offline, quiet)
    assert inside(again) == set(FILES)


def test_offline_says_what_was_never_fetched(tmp_path):
    offline = Hub(cache=tmp_path / "hub-cache", offline=True)
    with pytest.raises(StorageError, match="has not been fetched before") as caught:
        fetch_model("hf:toys/llama", tmp_path, offline, quiet)
    assert "without --offline" in caught.value.fix


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("hf:toys/nothing", "the hub has no model toys/nothing, or it is private"),
        ("hf:toys/llama@v9", "toys/llama has no revision 'v9'"),
        ("hf:toys/llama:onnx", "toys/llama holds no model at 'onnx'"),
        ("hf:toys/closed", "toys/closed is open only to those who accepted its terms"),
    ],
)
def test_what_is_not_there_is_said_in_words(stub, hub, tmp_path, argument, problem):
    stub.gated.add("toys/closed")
    with pytest.raises(ModelError) as caught:
        fetch_model(argument, tmp_path / "cache", hub, quiet)
    assert caught.value.problem == problem


def test_a_file_that_went_missing_is_said_in_words(stub, hub, tmp_path):
    files = stub.files["toys/graphs", COMMIT]
    listed = fetch._asked(HubName("toys/graphs"), hub)
    del files["onnx/model.onnx_data"]
    stub.files["toys/graphs", COMMIT] = files
    with pytest.raises(ModelError, match="lost a file"), fetch._in_words(HubName("toys/graphs")):
        fetch._download(HubName("toys/graphs"), listed.commit, "onnx/model.onnx_data", hub, False)


def test_without_a_connection_it_is_a_matter_of_storage(tmp_path):
    nowhere = Hub(endpoint="http://127.0.0.1:9", cache=tmp_path / "hub-cache")
    with pytest.raises(StorageError, match="could not be fetched"):
        fetch_model("hf:toys/llama", tmp_path, nowhere, quiet)


def test_an_interrupted_transfer_goes_on_where_it_ended(stub, hub, tmp_path, monkeypatch):
    """Cut in the middle, the file is whole after at most one more try, and the rest is a range."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    stub.cut.add("onnx/model.onnx_data")
    try:
        folder = fetch_model("hf:toys/graphs:onnx", tmp_path / "cache", hub, quiet)
    except StorageError:
        folder = fetch_model("hf:toys/graphs:onnx", tmp_path / "cache", hub, quiet)
    assert (folder / "model.onnx_data").read_bytes() == GRAPHS["onnx/model.onnx_data"]
    ranges = [part for _, path, part in stub.asked if path.endswith("model.onnx_data") and part]
    assert any(part != "bytes=0-0" for part in ranges)


def fetched_paths(stub):
    """The files that were transferred, without those that were only asked about."""
    return {path.split(f"{COMMIT}/")[-1] for kind, path, _ in stub.asked if kind == "GET"}


def test_a_class_that_is_not_built_costs_no_weights(stub, hub, tmp_path):
    """Its configuration is enough for an estimate; what it lacks is said when it is to run."""
    config = json.loads((LLAMA / "config.json").read_text(encoding="utf-8"))
    config |= {"architectures": ["OddForCausalLM"], "vocab_size": 96_000}
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": b"never"}
    stub.files["toys/odd", COMMIT] = files
    said = []
    found = find_model("hf:toys/odd", tmp_path / "cache", hub, said.append)
    assert "no weights are fetched: " in said[0]
    assert found.target.parameters
    with pytest.raises(ModelError, match="OddForCausalLM"):
        found.measured()
    assert not [path for path in fetched_paths(stub) if path.endswith(".safetensors")]


def test_its_graph_is_fetched_with_the_data_it_names_and_measured(stub, hub, tmp_path):
    graph = onnx.load(EXPORT / "model.onnx")
    place = tmp_path / "made" / "onnx"
    place.mkdir(parents=True)
    onnx.save_model(
        graph, place / "model.onnx", save_as_external_data=True, location="w.0", size_threshold=0
    )
    files = {f"onnx/{file.name}": file.read_bytes() for file in place.iterdir()}
    config = json.dumps({"architectures": ["MPNetModel"]}).encode()
    more = {"model.safetensors": b"never", "onnx/model_q4.onnx": b"never", "onnx/w.1": b"never"}
    stub.files["toys/both", COMMIT] = {"config.json": config, **files, **more}
    folder = fetch_model("hf:toys/both", tmp_path / "cache", hub, quiet)
    assert inside(folder) == {"config.json", "model.onnx", "w.0"}
    assert hub_origin(folder) == f"hf:toys/both@{COMMIT}:onnx"
    facts = find_model("hf:toys/both", tmp_path / "cache", hub).facts()
    assert (facts["model"], facts["parameters"]) == ("both", 31_904)
    assert {path for path in fetched_paths(stub) if path.endswith(("onnx", "w.0", "never"))} == {
        "onnx/model.onnx",
        "onnx/w.0",
    }


def test_offline_a_part_of_a_model_is_no_model(stub, hub, tmp_path):
    """Its graph was fetched by another tool, and its data was not."""
    stub.files["toys/export", COMMIT] = {
        "onnx/model.onnx": (EXPORT / "model.onnx").read_bytes(),
        "config.json": b"{}",
    }
    name = HubName("toys/export")
    fetch._download(name, COMMIT, "config.json", hub, False)
    offline = replace(hub, offline=True)
    with pytest.raises(StorageError, match="no whole model") as caught:
        fetch_model(f"hf:toys/export@{COMMIT}", tmp_path / "cache", offline, quiet)
    assert "without --offline" in caught.value.fix


def test_a_disk_without_room_is_said_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 10})
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(StorageError, match="MiB free"):
        fetch_model("hf:toys/llama", tmp_path / "cache", hub, quiet)


def test_without_the_library_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DeviceError) as caught:
        fetch_model("hf:toys/llama", tmp_path, Hub(), quiet)
    assert caught.value.fix == "pip install 'ondevice-bench[hub]'"


def test_an_exported_graph_of_the_hub_is_measured_as_one_of_a_folder(stub, hub, tmp_path):
    """Graphs below `onnx`, their descriptions above: recognised, and named with the commit."""
    stub.files["toys/export", COMMIT] = {
        f"onnx/{file.name}" if file.suffix == ".onnx" else file.name: file.read_bytes()
        for file in EXPORT.iterdir()
    }
    settings = load_settings("ci", model=("hf:toys/export:onnx",), prompt=(8,))
    plan = make_plan(with_fetched(settings, tmp_path / "cache", hub, quiet), usable_threads=1)
    assert plan.as_asked().fetched.popitem()[1] == f"hf:toys/export@{COMMIT}:onnx"
    assert plan.groups[0].source.model.parameters == 31_904


def test_a_plan_names_the_model_and_its_commit(hub, tmp_path):
    """The document says `llama` and where it came from, and no path."""
    settings = load_settings("ci", model=("hf:toys/llama@v1",), prompt=(8,))
    plan = make_plan(with_fetched(settings, tmp_path / "cache", hub, quiet), usable_threads=1)
    assert plan.as_asked().model == ("llama",)
    assert plan.as_asked().fetched == {"llama": f"hf:{REPO}@{OLDER}"}
    assert str(tmp_path) not in str(plan.as_asked())


def test_the_public_functions_fetch(stub, hub, tmp_path, monkeypatch):
    """What the commands take, `harness.build` takes: fetched once, built from its safetensors."""
    monkeypatch.setattr("harness.api.Hub", lambda: hub)
    folder = harness.build(f"hf:{REPO}@{OLDER}", "int4", cache=tmp_path / "cache")
    assert (folder / "model.onnx").is_file()
    asked = len(stub.asked)
    assert harness.build(f"hf:{REPO}@{OLDER}", "int4", cache=tmp_path / "cache") == folder
    assert len(stub.asked) == asked
