"""The exported toy models are those of their recipes, and compute what torch computes.

This is about the fixtures, not about us: onnxruntime alone runs them here, by their own names.
"""

import json

import numpy as np
import onnxruntime
import pytest

from tests.exports import EXPORTS, STORED
from tests.fixtures.exports import recipes

FOLDERS = {f"{path.parent.name}/{path.name}": path for path in sorted(EXPORTS.glob("*/*/"))}
MOST_BYTES, MOST_BYTES_TOGETHER = 120_000, 3_000_000  # as they are stored
# Largest difference from torch's logits, which lie between -8 and 8.
FLOATS_WITHIN, HALVES_WITHIN = 5e-5, 2e-2
LEAST_COSINE = 0.92  # of the logits of int4 and int8
PAST_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def expected(folder):
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def test_there_is_a_folder_for_every_recipe():
    assert set(FOLDERS) == {
        f"{kind}/{name}" for kind, rows in recipes.ROWS.items() for name in rows
    }


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_of_its_recipe_and_small(name):
    """A changed recipe means that its folder is made anew."""
    recipe = json.loads(json.dumps(recipes.recipe(*name.split("/"))))
    assert expected(FOLDERS[name])["recipe"] == recipe
    sizes = [file.stat().st_size for file in (STORED / name).iterdir()]
    assert sum(sizes) <= MOST_BYTES


def test_the_folders_are_small_together():
    files = [file for file in STORED.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES_TOGETHER


@pytest.mark.parametrize("name", [name for name in FOLDERS if not name.endswith("-window")])
def test_onnxruntime_computes_what_torch_computes(name):
    """One pass, of a decoder over an empty cache; a cache of a window cannot be empty."""
    wanted = expected(FOLDERS[name])
    found = run(FOLDERS[name], wanted["inputs"])
    for output, values in wanted["outputs"].items():
        compare(found[output].astype(np.float64), np.array(values), wanted["recipe"]["export"])


def compare(found, wanted, export):
    """Compare an output with torch's, as closely as its numbers allow."""
    precision = export["options"].get("precision", export["options"].get("dtype", "fp32"))
    if precision.startswith("int"):
        cosine = np.sum(found * wanted) / np.linalg.norm(found) / np.linalg.norm(wanted)
        assert cosine >= LEAST_COSINE
        return
    within = export["within"] or (FLOATS_WITHIN if precision == "fp32" else HALVES_WITHIN)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=within)


def run(folder, inputs):
    """Outputs by name, of the encoder and then of the decoder where there are two."""
    known = {name: np.array(values) for name, values in inputs.items()}
    encoder = folder / "encoder_model.onnx"
    if encoder.exists():
        known["encoder_hidden_states"] = outputs_of(encoder, known)["last_hidden_state"]
        known["input_ids"] = known.pop("decoder_input_ids")
    names = ("model.onnx", "decoder_model_merged.onnx", "decoder_model.onnx")
    graph = next(folder / name for name in names if (folder / name).exists())
    return outputs_of(graph, known)


def outputs_of(graph, known):
    """One run of a graph, every input that is not known made up."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    head = head_width(graph.parent)
    feeds = {each.name: made(each, known, head) for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def head_width(folder):
    """Width of an attention head where the graph does not say it."""
    file = folder / "genai_config.json"
    if not file.exists():
        return None
    return json.loads(file.read_text(encoding="utf-8"))["model"]["decoder"]["head_size"]


def made(wanted, known, head):
    """An input: as given, or of one sequence without padding and without a cache."""
    if wanted.name in known:
        values = known[wanted.name]
        return values.astype(np.float32) if wanted.type == "tensor(float)" else values
    if wanted.name.startswith("past_key_values"):
        _texts, heads, _tokens, width = wanted.shape
        shape = (1, heads, 0, width if isinstance(width, int) else head)
        return np.zeros(shape, PAST_TYPES[wanted.type])
    if wanted.name == "use_cache_branch":
        return np.array([False])
    if wanted.name == "encoder_attention_mask":
        return np.ones(known["encoder_hidden_states"].shape[:2], np.int64)
    like = known["input_ids"]
    return {
        "attention_mask": np.ones_like(like),
        "position_ids": np.arange(like.shape[1])[None],
        "token_type_ids": np.zeros_like(like),
    }[wanted.name]
