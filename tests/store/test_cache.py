"""The cache of built models: whole or not there, whatever happens during a build."""

import errno
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import filelock
import ml_dtypes  # noqa: F401  # teaches numpy the word bfloat16, in which the fixture is stored
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.builder.graph.rules import WINDOWED_FILE
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import (
    EXIT_STORAGE,
    EXIT_USAGE,
    ModelError,
    StorageError,
    UsageError,
    WorkerError,
)
from harness.models.weights.source import resolve_model
from harness.store import cache as cache_module
from harness.store.artifact import read_artifact
from harness.store.cache import check_room, default_cache, ensure_artifact
from harness.store.hashes import content_hash
from tests.builder.graph.seeded_folder import folder_of
from tests.inline_worker import InlineWorker
from tests.tiny import ONE_LAYER as SPEC
from tests.tiny import ONE_LAYER_SOURCE as TINY

FILES = ["genai_config.json", "model.onnx", "model.onnx.data", "model_all_logits.onnx"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A cache with one built model; tests take copies."""
    folder = tmp_path_factory.mktemp("whole")
    ensure_artifact(TINY, "int4", folder)
    return folder


@pytest.fixture
def filled(whole, tmp_path):
    """A copy of that cache, for a test to damage."""
    return Path(shutil.copytree(whole, tmp_path / "filled"))


@pytest.fixture
def built_here(monkeypatch):
    """The build needs no process of its own: what lies in the cache is the same."""
    monkeypatch.setattr(cache_module, "Worker", InlineWorker)


@pytest.fixture
def no_build(monkeypatch):
    """Any attempt to start a build fails the test."""

    def refuse(*_arguments, **_named):
        raise AssertionError("a build was started")

    monkeypatch.setattr(cache_module.Worker, "start", refuse)


def models_in(cache):
    """Names of everything in the cache but the locks."""
    return sorted(path.name for path in cache.iterdir() if path.name != "locks")


def test_an_older_folder_gets_its_graph_of_windows(tmp_path, built_here, monkeypatch):
    """Once, beside what is there; where nothing can be written, whole caches serve as before."""
    source = replace(TINY, spec=replace(SPEC, sliding_window_tokens=4))
    artifact = ensure_artifact(source, "int4", tmp_path)
    graph = artifact.for_capacity(32).graph
    assert graph.name == WINDOWED_FILE
    sizes = artifact.cache_bytes(32), artifact.for_capacity(32).cache_bytes(32)
    assert sizes == (32 * 128, 4 * 128)  # 2 · 1 head · 16 floats a row
    written = graph.read_bytes()
    graph.unlink()
    record = json.loads((artifact.folder / "artifact.json").read_text())
    del record["files"][WINDOWED_FILE], record["geometry"]["windowed"]
    record["geometry"]["caches"] = []
    (artifact.folder / "artifact.json").write_text(json.dumps(record))
    with monkeypatch.context() as patch:
        patch.setattr("harness.builder.graph.decoder.write_windowed", _refuse_writing)
        found = ensure_artifact(source, "int4", tmp_path)
        assert found.for_capacity(32).graph == found.graph
    ensure_artifact(source, "int4", tmp_path)
    assert graph.read_bytes() == written
    assert read_artifact(artifact.folder).for_capacity(32).graph.name == "model.onnx"


def _refuse_writing(*_arguments):
    raise OSError(errno.EROFS, "read-only")


def test_a_build_is_settled_before_it_has_its_name(built_here, monkeypatch, tmp_path):
    """So memory is the same in the run that built a model as in one after a restart."""
    seen = []
    monkeypatch.setattr(
        cache_module,
        "settle_folder",
        lambda folder: seen.append(sorted(path.name for path in folder.iterdir())),
    )
    ensure_artifact(TINY, "int4", tmp_path)
    assert seen == [["artifact.json", *FILES]]


def test_a_build_describes_itself(whole):
    """The record holds what the formulas say; every path in it is under the cache."""
    artifact = ensure_artifact(TINY, "int4", whole)
    assert artifact.folder.parent == whole
    assert artifact.graph.is_file()
    assert artifact.all_logits_graph.is_file()
    assert sorted(path.name for path in artifact.folder.iterdir()) == ["artifact.json", *FILES]
    assert (artifact.name, artifact.level, artifact.spec) == ("tiny", "int4", SPEC)
    assert artifact.weights_bytes == stored_bytes(SPEC, LEVELS["int4"])
    assert artifact.bits_per_weight == 8 * artifact.weights_bytes / artifact.parameters
    assert artifact.kv_bytes_per_token == 2 * 16 * 4  # key and value, one head of 16 floats
    assert artifact.geometry.max_context_tokens == 32
    assert artifact.build_seconds > 0
    assert 0 < artifact.build_peak_bytes < 2**30


def test_what_is_there_is_read_not_built(whole, no_build):
    artifact = ensure_artifact(TINY, "int4", whole)
    assert artifact == replace(read_artifact(artifact.folder), spec=SPEC)


def test_a_renamed_or_relicensed_spec_is_the_same_build(whole, no_build):
    """What only describes a model is taken from today's spec."""
    described = replace(SPEC, license="apache-2.0", published_parameters=7)
    artifact = ensure_artifact(replace(TINY, spec=described), "int4", whole)
    assert artifact.spec.license == "apache-2.0"


def test_the_hash_follows_everything_that_changes_bytes():
    """Weights, level, any number of the architecture; not its licence."""
    base = content_hash(SPEC, "int4", "seeded-v1-0")
    others = {
        content_hash(SPEC, "int4", "seeded-v1-1"),
        content_hash(SPEC, "int4-b128", "seeded-v1-0"),
        content_hash(replace(SPEC, rope_theta=1e6), "int4", "seeded-v1-0"),
        content_hash(replace(SPEC, rope_scaling=None), "int4", "seeded-v1-0"),
        content_hash(replace(SPEC, norm_epsilon=1e-6), "int4", "seeded-v1-0"),
    }
    assert base not in others
    assert len(others) == 5
    assert content_hash(replace(SPEC, license="MIT", name="x"), "int4", "seeded-v1-0") == base


@pytest.mark.parametrize("file", [*FILES, "artifact.json"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
@pytest.mark.usefixtures("built_here")
def test_a_damaged_copy_is_built_again(filled, file, damage):
    (name,) = models_in(filled)
    path = filled / name / file
    sound = path.read_bytes()
    if damage == "cut":
        path.write_bytes(sound[: len(sound) // 2])
    else:
        path.unlink()
    with pytest.raises(StorageError, match="damaged"):
        read_artifact(filled / name)
    ensure_artifact(TINY, "int4", filled)
    assert models_in(filled) == [name]
    if file != "artifact.json":
        assert path.read_bytes() == sound


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', '{"files": {}, "name": 1}'])
def test_a_record_of_other_content_is_damage(filled, text):
    (name,) = models_in(filled)
    (filled / name / "artifact.json").write_text(text)
    with pytest.raises(StorageError, match=r"artifact\.json"):
        read_artifact(filled / name)


def test_a_static_level_without_shapes_is_refused_before_anything_is_built(tmp_path, no_build):
    """A model and a level do not say how long a pass and the cache are."""
    with pytest.raises(UsageError, match="a16w8 is built as a static graph") as caught:
        ensure_artifact(resolve_model("bytelm"), "a16w8", tmp_path)
    assert "bench run --device npu" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_with_both_numbers(tmp_path, monkeypatch, no_build):
    """smollm2-135m at fp32 holds 513 MiB of weights; the disk has 100 MiB."""
    source = resolve_model("smollm2-135m")
    usage = shutil.disk_usage(tmp_path)._replace(free=100 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StorageError) as caught:
        ensure_artifact(source, "fp32", tmp_path)
    assert "needs 530 MiB" in caught.value.problem
    assert "100 MiB free" in caught.value.problem
    assert models_in(tmp_path) == []


def test_room_needed_is_never_less_than_what_is_written(whole):
    """The check counts a page per array and two graphs: more than the folder holds."""
    (name,) = models_in(whole)
    written = sum(path.stat().st_size for path in (whole / name).iterdir())
    needed = []

    class Disk:
        free = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: Disk)
        for Disk.free in (written, 2**40):
            try:
                check_room(SPEC, LEVELS["int4"], whole)
            except StorageError:
                needed.append(Disk.free)
    assert needed == [written]


def test_a_cache_below_a_file_cannot_be_written(tmp_path, no_build):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        ensure_artifact(TINY, "int4", tmp_path / "file")
    assert caught.value.exit_code == EXIT_STORAGE
    assert "--cache" in caught.value.fix


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)
def test_a_read_only_cache_serves_what_it_has_and_refuses_the_rest(filled, no_build):
    for folder in (filled, filled / "locks"):
        folder.chmod(0o500)
    try:
        assert ensure_artifact(TINY, "int4", filled).level == "int4"
        with pytest.raises(StorageError, match="cannot be written"):
            ensure_artifact(TINY, "int8", filled)
    finally:
        for folder in (filled, filled / "locks"):
            folder.chmod(0o700)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_cache_that_refuses_a_folder_is_named(filled, monkeypatch, code):
    """A read-only file system, whoever runs: what is there is served, a build is refused."""

    def refuse(path, *_arguments, **_named):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert ensure_artifact(TINY, "int4", filled).level == "int4"
    with pytest.raises(StorageError, match=os.strerror(code)):
        ensure_artifact(TINY, "int8", filled)


def test_a_failed_build_leaves_nothing_and_keeps_its_words(tmp_path):
    """A checkpoint with a number that is none: refused by the child, told by the parent."""
    model = tmp_path / "broken model"
    shutil.copytree(folder_of("llama-tied"), model)
    tensors = load_file(model / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name] = np.full_like(tensors[name], np.nan)
    save_file(tensors, model / "model.safetensors")
    with pytest.raises((WorkerError, ModelError), match="up_proj") as caught:
        ensure_artifact(resolve_model(str(model)), "int4", tmp_path / "cache")
    assert caught.value.exit_code == EXIT_USAGE
    assert models_in(tmp_path / "cache") == []


def test_an_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C while the child writes: its half-made folder goes."""

    def interrupt(_worker, _do, _timeout_s, *_kind, folder, **_arguments):
        (Path(folder) / "model.onnx.data").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module.Worker, "ask", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_artifact(TINY, "int4", tmp_path)
    assert models_in(tmp_path) == []


@pytest.mark.usefixtures("built_here")
def test_what_a_killed_process_left_is_swept_by_the_next_build(tmp_path):
    digest = content_hash(SPEC, "int4", "seeded-v1-0")
    stale = tmp_path / f".tiny-int4-{digest}.123.partial"
    stale.mkdir()
    (stale / "model.onnx.data").write_bytes(b"half")
    artifact = ensure_artifact(TINY, "int4", tmp_path)
    assert models_in(tmp_path) == [artifact.folder.name]


def test_two_at_once_build_once(tmp_path, monkeypatch):
    """The second waits for the first and reads what it built."""
    starts = []
    start = cache_module.Worker.start

    def count(module, **named):
        starts.append(module)
        return start(module, **named)

    monkeypatch.setattr(cache_module.Worker, "start", count)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _i: ensure_artifact(TINY, "int8", tmp_path), range(2))
    assert len(starts) == 1
    assert first == second
    assert models_in(tmp_path) == [first.folder.name]


def test_waiting_for_another_build_has_a_limit(tmp_path, no_build):
    digest = content_hash(SPEC, "int4", "seeded-v1-0")
    (tmp_path / "locks").mkdir()
    with (
        filelock.FileLock(tmp_path / "locks" / f"tiny-int4-{digest}.lock"),
        pytest.raises(StorageError, match="another process"),
    ):
        ensure_artifact(TINY, "int4", tmp_path, timeout_s=0)


@pytest.mark.usefixtures("built_here")
def test_a_folder_name_is_safe_on_every_system(tmp_path):
    """The name in the record is the user's; the folder's has no sign a file system refuses."""
    odd = replace(TINY, name="a b|c\n../é" * 30)
    artifact = ensure_artifact(odd, "int4", tmp_path)
    assert artifact.name == odd.name
    assert read_artifact(artifact.folder).name == odd.name
    assert artifact.folder.name.isascii()
    assert len(artifact.folder.name) < 100
    assert not set(artifact.folder.name) & set('|/\\ \n:*?"<>')


@pytest.mark.usefixtures("built_here")
def test_a_checkpoint_brings_its_special_tokens(tmp_path):
    """Bos 1 and eos 2 of the fixture's config.json; no pad: the first eos."""
    artifact = ensure_artifact(resolve_model(str(folder_of("llama-tied"))), "int4", tmp_path)
    model = json.loads((artifact.folder / "genai_config.json").read_text())["model"]
    assert (model["bos_token_id"], model["eos_token_id"], model["pad_token_id"]) == (1, [2], 2)
    assert artifact.weights_kind == "trained"
    assert artifact.weights_identity.startswith("sha256:")


def test_the_users_own_cache_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("BENCH_CACHE")
    assert default_cache().name == "ondevice-bench"


def test_asking_the_cache_loads_neither_numpy_nor_onnx():
    """The parent process stays light: what it asks is answered by formulas and files."""
    import subprocess

    code = (
        "import sys, harness.store.cache, harness.builder.quantize.layout\n"
        "import harness.builder.graph.geometry\n"
        "print([m for m in ('numpy', 'onnx', 'onnxruntime', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_build_streams_its_weights(tmp_path):
    """An embedding of 200,000 x 256 is 195 MiB at fp32; building it takes under 100 MiB."""
    wide = replace(SPEC, vocab_size=200_000, hidden_size=256)
    artifact = ensure_artifact(replace(TINY, spec=wide), "int4", tmp_path)
    assert artifact.build_peak_bytes < 100 * 2**20
