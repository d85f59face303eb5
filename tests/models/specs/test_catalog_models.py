"""Every model of the catalog counts to the last parameter."""

import pytest

from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import ModelError, UsageError
from harness.models.catalog.catalog import (
    catalog_model,
    catalog_models,
    catalog_names,
    load_spec,
    read_catalog_model,
    spec_names,
)
from harness.models.specs.dissect import spec_structure
from harness.models.specs.structure import ParameterGroup, Role
from harness.models.specs.tensors import built_parameters, kv_bytes_per_token, parameters

NAMES = catalog_names()
# Read once from the makers' own files; the tables of the model cards say the same.
GEMMA_4, LFM2_MOE = {"gemma-4-e2b", "gemma-4-e4b"}, {"lfm2-8b-a1b"}
READ_PER_TOKEN = {
    "smollm2-135m": 134_515_008,
    "llama-3-8b": 7_504_924_672,
    "tinyllama-1.1b": 1_034_512_384,
    "mixtral-8x22b": 38_960_142_336,
    "qwen1.5-moe-a2.7b": 2_378_008_576,
    "qwen3-30b-a3b": 3_041_867_776,
    "lfm2-350m": 354_483_968,
    "gpt-oss-20b": 3_608_307_264,
    "gemma-4-e2b": 2_279_759_104 + 35,  # with a scalar for each layer
    "gemma-4-e4b": 4_644_441_088 + 42,
    "minicpm5-1b": 880_092_672,
}


def test_the_catalog_has_86_models():
    assert len(NAMES) == 86
    assert len(catalog_models()) == 86


@pytest.mark.parametrize("name", NAMES)
def test_formula_gives_the_published_count(name):
    """Exact, or off by the known difference; without a published count there is a reason."""
    model = catalog_model(name)
    if model.published_parameters is None:
        assert "no exact count" in model.expected_delta_reason
        return
    delta = model.structure.parameters - model.published_parameters
    assert delta == model.expected_delta
    assert (delta == 0) == (model.expected_delta_reason == "")


def test_those_that_are_not_confirmed_or_counted_otherwise():
    """Some published counts hold position numbers, or leave out files beside the checkpoint."""
    odd = {name for name in NAMES if catalog_model(name).expected_delta_reason}
    counted = {"clip-vit-b-32": -50, "multilingual-e5-small": -512, "ms-marco-minilm-l6-v2": -512}
    counted |= {"embeddinggemma-300m": 2 * 768 * 3072}
    assert odd == {"exaone-3.5-2.4b", "ministral-3-3b", *LFM2_MOE, *GEMMA_4, *counted}
    assert {name: catalog_model(name).expected_delta for name in counted} == counted
    assert catalog_model("ministral-3-3b").structure.parameters == 3_429_006_336
    assert catalog_model("exaone-3.5-2.4b").structure.parameters == 2_405_327_360


@pytest.mark.parametrize("name", spec_names())
def test_built_models_are_counted_by_one_truth(name):
    """The structure agrees with the closed formula of the architectures built here."""
    spec = load_spec(name)
    structure = spec_structure(spec)
    assert structure.parameters == parameters(spec)
    assert structure.kv_bytes_per_token(4) == kv_bytes_per_token(spec, 4)
    assert catalog_model(name).structure == structure
    assert stored_bytes(spec, LEVELS["fp32"]) == 4 * built_parameters(spec)


def test_no_number_is_written_twice():
    """What `models/*.toml` describes is not described again in `models/catalog/`."""
    described = {model.name for model in catalog_models() if model.structure.spec is None}
    assert described.isdisjoint(spec_names())
    assert len(described) + len(spec_names()) == len(NAMES)


@pytest.mark.parametrize("name", READ_PER_TOKEN)
def test_read_leaves_out_tables_and_idle_experts(name):
    """8B reads 8.03e9 - 128256*4096 = 7.50e9: an untied embedding gives one row."""
    assert catalog_model(name).structure.read_parameters == READ_PER_TOKEN[name]


def test_mixtral_has_two_of_eight_experts_active():
    """140.6e9 - 56 layers * 6 idle experts * 3 * 6144 * 16384 = 39.16e9."""
    structure = catalog_model("mixtral-8x22b").structure
    assert structure.parameters == 140_630_071_296
    assert structure.active_parameters == 140_630_071_296 - 56 * 6 * 3 * 6144 * 16384


def test_cache_differs_forty_fold_at_a_size():
    """LFM2-350M: 6 attending layers of 8 heads of 64; OLMo-7B: 32 layers of 32 heads of 128."""
    assert catalog_model("lfm2-350m").structure.kv_bytes_per_token(2) == 2 * 6 * 8 * 64 * 2
    assert catalog_model("olmo-1.7-7b").structure.kv_bytes_per_token(2) == 2 * 32 * 32 * 128 * 2


@pytest.mark.parametrize(
    ("name", "state_bytes"),
    [
        ("lfm2-350m", 81_920),
        ("lfm2.5-2.6b", 360_448),
        ("qwen3.5-0.8b", 20_201_472),
        ("qwen3.5-9b", 52_690_944),
        ("granite-4.0-h-350m", 22_622_208),
        ("falcon-h1-1.5b", 76_529_664),
        ("nemotron-3-nano-4b", 85_026_816),
        ("smollm2-135m", 0),
    ],
)
def test_states_of_a_sequence_are_of_one_size(name, state_bytes):
    """Qwen3.5 0.8B: 18 layers of 6144 channels times 3 and 16 matrices of 128², 4 bytes each."""
    assert catalog_model(name).structure.state_bytes == state_bytes


def test_encoders_have_no_cache_and_whisper_has_one():
    assert catalog_model("bert-base-uncased").structure.kv_bytes_per_token(4) == 0
    assert not catalog_model("vit-small-patch16-224").structure.decodes
    assert catalog_model("whisper-tiny").structure.kv_bytes_per_token(2) == 2 * 4 * 6 * 64 * 2


def test_many_tokens_touch_more_experts_but_never_all_for_sure():
    """One token: 2 of 8; two tokens: 8 * (1 - 0.75^2) = 3.5."""
    piece = ParameterGroup("experts", Role.BODY, 4, 4, copies=8, active=2)
    assert piece.touched_copies(1) == 2
    assert piece.touched_copies(2) == pytest.approx(3.5)
    assert piece.touched_copies(1000) <= 8


def test_unknown_model_names_the_nearest():
    with pytest.raises(UsageError) as raised:
        catalog_model("mixtral-8x22")
    assert "mixtral-8x22b" in raised.value.fix


GOOD = """
name = "m"
kind = "vit"
hf_id = ""
license = ""
source = ""
[shape]
hidden_size = 8
num_layers = 1
num_heads = 1
head_dim = 8
intermediate_size = 16
image_pixels = 32
patch_pixels = 16
num_classes = 10
"""


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("num_layers = 1", "num_layers = 1.5", "num_layers"),
        ("num_layers = 1", "num_layers = true", "num_layers"),
        ("num_layers = 1", "num_layers = 0", "num_layers"),
        ("num_layers = 1", "num_layers = -1", "num_layers"),
        ("num_layers = 1\n", "", "num_layers"),
        ("num_layers = 1", "num_layers = 1\nlayers = 2", "layers"),
        ('kind = "vit"', 'kind = "cnn"', "cnn"),
        ('name = "m"', 'name = "other"', "other"),
        ("[shape]", "[sh4pe]", "sh4pe"),
        ("[shape]", "[shape", "TOML"),
    ],
)
def test_a_damaged_file_is_refused_by_key(tmp_path, old, new, named):
    path = tmp_path / "m.toml"
    path.write_text(GOOD)
    assert read_catalog_model(path).structure.encoder_tokens == 5
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ModelError) as raised:
        read_catalog_model(path)
    assert named in str(raised.value)


@pytest.mark.parametrize(
    ("name", "growing", "window"),
    [  # values: layers · 2 · key heads · width, and of those with a window times its tokens
        ("gemma-3-1b", 4 * 2 * 256, 22 * 2 * 256 * 512),
        # layers 13 and 14 are read by the last 20: 13 has to keep its whole cache
        ("gemma-4-e2b", 3 * 2 * 512 + 2 * 256, 11 * 2 * 256 * 512),
        ("gpt-oss-20b", 12 * 2 * 8 * 64, 12 * 2 * 8 * 64 * 128),
        ("llama-3.2-1b", 16 * 2 * 8 * 64, 0),
    ],
)
def test_windows_are_full_some_time(name, growing, window):
    structure = catalog_model(name).structure
    assert structure.growing_values_per_token == growing
    assert structure.window_values == window
    full = structure.kv_values_per_token
    assert structure.cached_values(100) == 100 * full
    rows = 0 if not window else {512: 576, 128: 144}[window // (full - growing)]
    assert structure.cached_values(8192) == 8192 * growing + rows * (full - growing)
