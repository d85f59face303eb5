"""Real exports at toy size: every one is recognised, and its parameters are those of torch."""

import json
from pathlib import Path

import pytest

from harness.models.exported.genai_spec import spec_by_count
from harness.models.exported.model import ExportedKind, from_json, to_json
from harness.models.specs.model import EncoderSpec, ModelSpec
from tests.exports import EXPORTS
from tests.models.exported.tiny_graphs import read

FOLDERS = sorted(path.parent for path in EXPORTS.glob("*/*/expected.json"))
# words in the folder's name -> kind; the first that fits counts
KINDS = (
    (("plain",), ExportedKind.DECODER_WITHOUT_PAST),
    (("sentence",), ExportedKind.EMBEDDING),
    (("bert",), ExportedKind.ENCODER),
    (("t5", "whisper"), ExportedKind.ENCODER_DECODER),
    (("vit", "clip"), ExportedKind.VISION),
    (("",), ExportedKind.DECODER),
)


def kind_of(folder: Path) -> ExportedKind:
    return next(kind for words, kind in KINDS if any(word in folder.name for word in words))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_export_is_recognised_with_its_true_parameters(folder: Path):
    """Kind by its name, parameters and vocabulary as the torch model's, caches where they are."""
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    model = read(folder)
    assert model.kind is kind_of(folder)
    assert model.parameters == expected["parameters"]
    assert sum(row.parameters for row in model.storages) == model.parameters
    if "vocab_size" in expected:
        assert model.vocab_size == expected["vocab_size"]
    if model.kind is ExportedKind.DECODER:
        cache = model.main.cache
        assert cache is not None
        assert cache.has_past
        # the builder of genai writes its fp16 graphs for the CPU without the fused operator
        in_place = folder.parent.name == "genai" and "fp16" not in folder.name
        assert cache.shares_buffer == in_place
    assert from_json(json.loads(json.dumps(to_json(model)))) == model


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("llama-int4", "int4 b32 (MatMulNBits)"),
        ("llama-int8", "int8 b32 (MatMulNBits)"),
        ("llama-fp16", "fp16"),
        ("llama-fp32", "fp32"),
    ],
)
def test_the_level_says_how_most_weights_are_stored(name: str, level: str):
    """In words that name bits, block and operator."""
    assert read(EXPORTS / "genai" / name).level == level


def test_a_known_architecture_beside_a_graph_becomes_a_spec():
    """config.json of a Llama gives a ModelSpec, of a BERT an EncoderSpec, of a ViT nothing."""
    specs = [read(EXPORTS / "optimum" / name).spec for name in ("llama-past", "bert", "vit")]
    assert [type(spec) for spec in specs] == [ModelSpec, EncoderSpec, type(None)]


GENAI = sorted(path.parent.name for path in EXPORTS.glob("genai/*/genai_config.json"))


@pytest.mark.parametrize("name", GENAI)
def test_a_genai_folder_tells_its_architecture_by_its_count(name):
    """The width of the block, which its configuration leaves out, is that of the exported model."""
    folder = EXPORTS / "genai" / name
    recipe = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["recipe"]
    sizes, spec = recipe["model"]["sizes"], read(folder).spec
    assert spec.family == recipe["model"]["family"]
    assert spec.intermediate_size == sizes["intermediate_size"]
    assert spec.tied_embeddings == sizes["tie_word_embeddings"]


def test_a_count_that_no_width_gives_tells_no_architecture():
    """One parameter more than an exact width has, a family that nobody knows, a missing number."""
    genai = json.loads((EXPORTS / "genai" / "llama-fp32" / "genai_config.json").read_text())
    counted = read(EXPORTS / "genai" / "llama-fp32").parameters
    assert spec_by_count(genai, counted, tied=False, name="one").intermediate_size == 48
    assert spec_by_count(genai, counted + 1, tied=False, name="one") is None
    genai["model"]["type"] = "unheard-of"
    assert spec_by_count(genai, counted, tied=False, name="one") is None
    del genai["model"]["decoder"]["head_size"]
    assert spec_by_count(genai, counted, tied=False, name="one") is None
