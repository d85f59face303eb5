"""Rotary positions and windows of a graph, held against the configuration beside it."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from harness.analysis.audit import judge_configuration
from harness.core.findings import OK, WARNING
from tests.models.exported.tiny_graphs import WIDTH, language_model, read, saved, values

HEADS, HEAD, POSITIONS = 2, 16, 64
BASE = 500_000.0
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 40,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "head_dim": HEAD,
    "max_position_embeddings": POSITIONS,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}


def plain(base: float = BASE):
    """base^(-2i / d) of every pair."""
    return base ** -(np.arange(0, HEAD, 2) / HEAD)


def llama3():
    """As transformers has it: long waves are divided, short ones kept, between them a blend."""
    frequencies = plain()
    waves = LLAMA3["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    blend = np.clip((waves - 1.0) / (4.0 - 1.0), 0, 1)
    return blend * frequencies + (1 - blend) * frequencies / LLAMA3["factor"]


def as_vector(frequencies) -> ModelProto:
    """As torch's exporters write them: times the positions, then both cosines and sines."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["positions"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["positions", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "inv_freq"], ["angles"]),
        helper.make_node("Cos", ["angles"], ["cosines"]),
        helper.make_node("Sin", ["angles"], ["sines"]),
    ]
    stored = {"inv_freq": np.asarray(frequencies, np.float32)[None], "last": np.array([2])}
    return language_model(nodes, stored)


def as_tables(frequencies, kind=np.float32, amplitude=1.0, twice=False, window=-1) -> ModelProto:
    """As genai's builder writes them: tables of cosines and sines, read by fused attention."""
    angles = np.arange(POSITIONS)[:, None] * np.asarray(frequencies)
    if twice:
        angles = np.concatenate([angles, angles], axis=1)
    tables = {"cos": amplitude * np.cos(angles), "sin": amplitude * np.sin(angles)}
    stored = {name: table.astype(kind) for name, table in tables.items()}
    nodes = [attention(f"a{layer}", window) for layer in range(2)]
    others = {"length": np.array([3], np.int32), "k": values(1, HEADS, 1, HEAD)}
    return language_model(nodes, {**stored, **others})


def attention(name: str, window: int):
    inputs = ["x", "x", "x", "k", "k", "length", "length", "cos", "sin"]
    return helper.make_node(
        "GroupQueryAttention",
        inputs,
        [name, f"{name}.k", f"{name}.v"],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=HEADS,
        do_rotary=1,
        local_window_size=window,
    )


def found(proto: ModelProto, folder: Path, **config) -> tuple[str, ...]:
    saved(proto, folder)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    model = read(folder)
    assert set(model.differences) <= set(model.notes)
    return model.differences


FORMS = {
    "vector": as_vector,
    "tables": as_tables,
    "half tables": lambda one: as_tables(one, np.float16),
    "tables of both halves": lambda one: as_tables(one, twice=True),
    "tables of an amplitude": lambda one: as_tables(one, amplitude=1.2),
}
STATED = {
    "base 500,000": ({"rope_theta": BASE}, plain()),
    "base 500,000 (transformers 5)": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": BASE}},
        plain(),
    ),
    "base 500,000, linear by 4": (
        {"rope_theta": BASE, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        plain() / 4,
    ),
    "base 500,000, llama3 by 8": ({"rope_theta": BASE, "rope_scaling": LLAMA3}, llama3()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("words", STATED)
def test_frequencies_of_every_form_are_held_against_config_json(tmp_path, form, words):
    """The right ones are silent; base 10,000, which a lost key becomes, is named."""
    config, right = STATED[words]
    assert found(FORMS[form](right), tmp_path / "right", **config) == ()
    (said,) = found(FORMS[form](plain(1e4)), tmp_path / "lost", **config)
    assert "have base 10,000; config.json says" in said
    assert words.partition(" (")[0] in said


def test_a_lost_stretching_is_named(tmp_path):
    """The base alone is not enough; yarn likewise."""
    config = {"rope_theta": BASE, "rope_scaling": YARN}
    (said,) = found(as_tables(plain()), tmp_path, **config)
    assert "have base 500,000; config.json says base 500,000, yarn by 4" in said
    (said,) = found(as_tables(llama3()), tmp_path / "other", rope_theta=BASE)
    assert "have frequencies from 1 down to" in said


def mistral(window):
    names = {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
    return {**names, "rope_theta": BASE, "sliding_window": window}


@pytest.mark.parametrize(
    ("in_graph", "stated", "words"),
    [
        (16, 16, ""),
        (-1, None, ""),
        (-1, POSITIONS, ""),  # hides nothing
        (-1, 16, "sees everything in 2 layers; config.json says 16 tokens in 2 layers"),
        (8, 16, "sees 8 tokens in 2 layers; config.json says 16 tokens in 2 layers"),
        (16, None, "sees 16 tokens in 2 layers; config.json says everything in 2 layers"),
    ],
)
def test_a_window_of_fused_attention_is_that_of_config_json(tmp_path, in_graph, stated, words):
    said = found(as_tables(plain(), window=in_graph), tmp_path, **mistral(stated))
    assert [words in one for one in said] == ([True] if words else [])


def test_a_window_of_genais_own_configuration_counts_where_there_is_no_other(tmp_path):
    """Its builder writes Mistral's window there, and no attention with one."""
    saved(as_tables(plain()), tmp_path)
    decoder = {"filename": "model.onnx", "sliding_window": {"window_size": 16, "layers": []}}
    genai = {"model": {"type": "mistral", "context_length": POSITIONS, "decoder": decoder}}
    (tmp_path / "genai_config.json").write_text(json.dumps(genai))
    (said,) = read(tmp_path).differences
    assert "no attention of it has a window; genai_config.json says 16 tokens" in said


def test_an_audit_warns_of_what_differs():
    """A warning: what it times is timed right."""
    assert judge_configuration(()).state == OK
    judged = judge_configuration(("its window is lost",))
    assert (judged.state, judged.detail) == (WARNING, "its window is lost")
    assert judged.fix
