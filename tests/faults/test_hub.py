"""Fault: a hub, or who speaks in its name, says what nobody should believe.

What must remain true: nothing is written outside the cache, nothing is fetched of such a listing,
and who asks for a model at the same time as others gets the same whole folder.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.core.environment import HUB_TELEMETRY, all_variables, set_variable
from harness.core.errors import ModelError
from harness.models.weights import source
from harness.models.weights.header import HEADER_LIMIT_BYTES, check_layout
from harness.models.weights.source import weights_identity
from harness.store import fetch
from harness.store.fetch import Hub, fetch_model
from harness.store.hub import is_commit, leads_out
from tests.builder.graph.seeded_folder import folder_of
from tests.store.hub_stub import COMMIT, running_stub
from tests.tiny import write_checkpoint

LLAMA, REPO = folder_of("llama-tied"), "toys/llama"
FILES = {name: (LLAMA / name).read_bytes() for name in ("config.json", "model.safetensors")}
OUTSIDE = (
    *("../x.onnx", "/etc/x.onnx", "onnx/../../x.onnx", "..", "", "onnx\\..\\..\\x.onnx"),
    *("C:\\x.onnx", "c:x.onnx", "\\\\host\\share\\x.onnx", "x\0.onnx", "\x1b[2Jx.onnx"),
)


@pytest.fixture(scope="module")
def stub():
    with running_stub() as found:
        yield found


def fetched(stub, folder, said=None):
    hub = Hub(endpoint=stub.address, cache=folder / "hub-cache")
    return fetch_model(f"hf:{REPO}", folder / "cache", hub, (said or []).append)


@pytest.mark.parametrize("commit", [None, "", "main", "a" * 39, "A" * 40, "../../../" + "a" * 31])
def test_a_commit_that_is_none_is_refused(stub, tmp_path, commit):
    """Its first characters name a folder."""
    stub.branches["main"] = commit
    stub.files[REPO, commit] = FILES
    with pytest.raises(ModelError, match="which is none"):
        fetched(stub, tmp_path / "in")
    assert not list(tmp_path.rglob("*.safetensors"))
    assert {path.name for path in tmp_path.iterdir()} <= {"in"}


def test_a_listing_with_files_outside_fetches_nothing(stub, tmp_path):
    """Not even those of its files that are harmless."""
    stub.branches["main"] = COMMIT
    stub.files[REPO, COMMIT] = {**FILES, "../../../../x.safetensors": b"x"}
    stub.asked.clear()
    with pytest.raises(ModelError, match="a file outside itself"):
        fetched(stub, tmp_path / "in")
    assert [path for _, path, _ in stub.asked] == [f"/api/models/{REPO}/revision/main"]
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_the_library_is_told_to_tell_nothing(monkeypatch, before, after):
    """Of versions and of the program that runs it; somebody who has set it knows better."""
    monkeypatch.setenv(HUB_TELEMETRY.name, "")  # so that it is put back
    set_variable(HUB_TELEMETRY.name, before)
    fetch._library()
    assert all_variables()[HUB_TELEMETRY.name] == after


def test_names_are_judged_as_every_system_reads_them():
    assert [name for name in OUTSIDE if not leads_out(name)] == []
    plain = ("config.json", "onnx/model.onnx", "a b/c..d.onnx", "..a/b.onnx", "model:q4.onnx", "ä")
    assert [name for name in plain if leads_out(name)] == []
    assert is_commit(COMMIT)


def test_who_fetches_one_model_at_once_gets_one_whole_folder(stub, tmp_path):
    """Each waits for the one that fetches; what it is doing is not removed under it."""
    stub.branches["main"] = COMMIT
    stub.files[REPO, COMMIT] = FILES
    stub.asked.clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: fetched(stub, tmp_path), range(8)))
    assert len(set(found)) == 1
    assert {name: (found[0] / name).read_bytes() for name in FILES} == FILES
    transferred = [path for kind, path, _ in stub.asked if kind == "GET" and "/api/" not in path]
    assert len(transferred) == len(set(transferred)) == len(FILES)


def safetensors(header, tail=b"", length=None):
    return (len(header) if length is None else length).to_bytes(8, "little") + header + tail


ONE = b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (safetensors(ONE, b"123"), "its tensors are 4 bytes, 3 follow"),
        (safetensors(ONE, b"12345"), "its tensors are 4 bytes, 5 follow"),
        (safetensors(ONE, length=2**62), "a header of"),
        (safetensors(bytes(HEADER_LIMIT_BYTES + 1)), "a header of"),
        (b"123", "a header of"),
        (safetensors(b"[" * 100_000), "is no JSON"),
        (safetensors(b"\xff"), "is no JSON"),
        (safetensors(b"[]"), "no table of tensors"),
        (safetensors(b'{"a":{"data_offsets":[1,4]}}', b"1234"), "a tensor lies from 1 to 4"),
        (safetensors(b'{"a":{"data_offsets":[0,-4]}}', b""), "a tensor lies from 0 to -4"),
        (safetensors(b'{"a":{"data_offsets":[0,true]}}', b"1"), "does not say where 'a' lies"),
        (safetensors(b'{"a":4}', b"1234"), "does not say where 'a' lies"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(tmp_path, content, why):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=why):
        check_layout(tmp_path / "x.safetensors", "m")


def test_a_file_of_two_tebibytes_of_nothing_is_not_hashed(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "m")
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(2 << 40)
    model = source.resolve_model(str(folder))
    hashed = []
    monkeypatch.setattr(source, "_digest", lambda path, _: hashed.append(path.name) or b"")
    with pytest.raises(ModelError, match="follow its header"):
        weights_identity(model, 0)
    assert hashed == ["config.json"]
