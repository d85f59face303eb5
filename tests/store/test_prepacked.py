"""Saved copies of weights: the same logits, for the kernels that made them, and for no others."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import harness
from harness.builder.graph import outline
from harness.builder.graph.rules import WINDOWED_FILE
from harness.builder.quantize import layout
from harness.core.errors import DeviceError, StorageError, UsageError
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.reading import PREPACKED_DATA
from harness.machine.watch.kernels import KernelSet, kernels_here
from harness.models.weights.source import ModelSource
from harness.store import prepacked
from harness.store.artifact import read_artifact
from harness.store.cache import ensure_artifact
from harness.store.prepacked import ensure_prepacked, refuse_elsewhere
from tests.tiny import ENCODER, SPECS

IDS = [[5, 17, 130, 2, 88, 41, 9]]
# A decoder, a mixture, hybrids of two kinds: each with all the operators that hold its weights.
DECODERS = [
    (name, level)
    for name in ("llama", "mixtral", "qwen3_5", "granite_h")
    for level in ("fp32", "int8", "int4")
]


def both(name, spec, level, cache):
    """A tiny model as it is built, and with its copies."""
    plain = ensure_artifact(ModelSource(name, name, spec, None), level, cache)
    return plain, ensure_prepacked(plain, cache)


def answers(artifact, threads):
    """Logits of a prompt and three steps; of an encoder its embeddings."""
    model = harness.load(artifact.folder, threads=threads, context_tokens=16)
    if isinstance(model, harness.LoadedEncoder):
        return [model.embed(IDS)]
    return [model.prefill(IDS), *(model.step([[token]]) for token in (3, 4, 5))]


@pytest.mark.parametrize(("name", "level"), DECODERS)
def test_logits_are_the_same_to_the_bit(name, level, shared_cache):
    """With the one thread that saved them, and with two."""
    plain, packed = both(name, SPECS[name], level, shared_cache)
    assert packed.prepacked_bytes > 0
    for threads in (1, 2):
        for ours, theirs in zip(answers(plain, threads), answers(packed, threads), strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("level", ["fp32", "int8", "int4"])
def test_an_encoder_has_the_same_embeddings(level, shared_cache):
    plain, packed = both("bert", ENCODER, level, shared_cache)
    assert np.array_equal(answers(plain, 1)[0], answers(packed, 2)[0])
    assert not (packed.folder / plain.data.name).exists()  # no other graph reads it


@pytest.mark.parametrize("level", ["fp32", "int4"])
def test_a_head_in_slices_gives_the_same_logits(level, shared_cache, tmp_path, monkeypatch):
    """Over whole caches and over those of windows: the largest copy is one of a layer's matrix."""
    monkeypatch.setattr(layout, "LEAST_SLICE_BYTES", 1)
    spec = replace(SPECS["mistral"], vocab_size=1000)
    plain = ensure_artifact(ModelSource("wide", "wide", spec, None), level, shared_cache)
    packed = ensure_prepacked(plain, tmp_path)
    for graph in (packed.graph, packed.folder / WINDOWED_FILE):
        assert sum(".slice." in name for name in outline.node_names(graph)) > 1
    for threads in (1, 2):
        for ours, theirs in zip(answers(plain, threads), answers(packed, threads), strict=True):
            assert np.array_equal(ours, theirs)


def test_the_timed_graph_alone_has_copies(shared_cache):
    """What is not timed lies there under its own name, linked: its bytes are stored once."""
    plain, packed = both("llama", SPECS["llama"], "int4", shared_cache)
    names = {file.name for file in packed.files}
    assert names == {file.name for file in plain.files} | {PREPACKED_DATA}
    assert packed.data.stat().st_ino == plain.data.stat().st_ino
    assert packed.all_logits_graph.read_bytes() == plain.all_logits_graph.read_bytes()
    assert packed.weights_bytes == plain.weights_bytes


def test_the_graph_over_windows_maps_the_same_copies(shared_cache):
    _, packed = both("mistral", SPECS["mistral"], "int4", shared_cache)
    windowed = packed.for_capacity(32).graph
    assert windowed.name == WINDOWED_FILE
    assert outline.saved_copies_bytes(windowed) == packed.prepacked_bytes
    assert open_session(windowed, find_device("cpu"), threads=1).placement.proven


def test_the_record_names_the_kernels(shared_cache):
    _, packed = both("llama", SPECS["llama"], "int4", shared_cache)
    kernels = kernels_here()
    table = json.loads((packed.folder / "artifact.json").read_text())["prepacked"]
    assert table["instructions"] == [*kernels.instructions]
    assert table["onnxruntime"] == kernels.onnxruntime
    assert read_artifact(packed.folder) == packed
    assert "-prepacked-" in packed.folder.name


def test_a_plain_record_is_what_it_always_was(shared_cache):
    plain, _ = both("llama", SPECS["llama"], "int4", shared_cache)
    assert "prepacked" not in json.loads((plain.folder / "artifact.json").read_text())


def test_what_is_saved_is_found_again(shared_cache, monkeypatch):
    plain, packed = both("llama", SPECS["llama"], "int4", shared_cache)
    monkeypatch.setattr(prepacked, "Worker", None)
    assert ensure_prepacked(plain, shared_cache) == packed


def test_folders_of_older_versions_are_left(shared_cache, monkeypatch):
    """Their heads were whole: they are made anew under another name."""
    plain, packed = both("llama", SPECS["llama"], "int4", shared_cache)
    monkeypatch.setattr(prepacked, "VERSION", "1")
    assert ensure_prepacked(plain, shared_cache).folder != packed.folder


@pytest.mark.parametrize(
    "other", [KernelSet(("aarch64", "asimddp", "i8mm"), "1.32.0"), KernelSet(("x86_64",), "1.33.0")]
)
def test_other_kernels_have_a_folder_of_their_own(other, shared_cache, monkeypatch):
    plain, packed = both("llama", SPECS["llama"], "int4", shared_cache)
    monkeypatch.setattr(prepacked, "kernels_here", lambda: other)
    assert ensure_prepacked(plain, shared_cache).folder != packed.folder


def test_a_folder_of_other_kernels_is_refused(shared_cache):
    """With both sets of kernels, and the call that makes it here."""
    plain, packed = both("llama", SPECS["llama"], "int4", shared_cache)
    refuse_elsewhere(plain)
    elsewhere = replace(
        packed, prepacked=replace(packed.prepacked, instructions=("aarch64", "i8mm"))
    )
    with pytest.raises(DeviceError, match=r"was prepacked for aarch64 i8mm, onnxruntime") as caught:
        refuse_elsewhere(elsewhere)
    assert 'harness.build("llama", "int4", prepacked=True)' in caught.value.fix


def test_loading_it_refuses(shared_cache, monkeypatch):
    _, packed = both("llama", SPECS["llama"], "int4", shared_cache)
    monkeypatch.setattr(prepacked, "kernels_here", lambda: KernelSet(("riscv64",), "1.32.0"))
    with pytest.raises(DeviceError, match="here are riscv64, onnxruntime"):
        harness.load(packed.folder)


def test_where_no_kernel_saves_its_copies_it_is_said(shared_cache, monkeypatch, tmp_path):
    """And nothing is left of it."""
    plain = ensure_artifact(ModelSource("a", "a", SPECS["llama"], None), "int4", shared_cache)
    monkeypatch.setattr(outline, "saved_copies_bytes", lambda graph: 0)
    with pytest.raises(
        DeviceError, match="no kernel of this machine saves its copies of a at int4"
    ):
        ensure_prepacked(plain, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_a_full_disk_is_told_with_both_numbers(shared_cache, monkeypatch, tmp_path):
    plain = ensure_artifact(ModelSource("a", "a", SPECS["llama"], None), "int4", shared_cache)
    monkeypatch.setattr(prepacked.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(StorageError, match=r"needs 0 MiB in the cache; its disk has 0 MiB free"):
        ensure_prepacked(plain, tmp_path)


def test_static_graphs_have_none(shared_cache):
    plain = ensure_artifact(ModelSource("a", "a", SPECS["llama"], None), "int4", shared_cache)
    with pytest.raises(UsageError, match="a16w8 is built as static graphs"):
        ensure_prepacked(replace(plain, level="a16w8"), shared_cache)
