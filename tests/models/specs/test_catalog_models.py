"""Every model of the catalog counts to the last parameter."""

import pytest

from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import ModelError, UsageError
from harness.estimator.memory import ANY_ENGINE
from harness.estimator.work import Pass, pass_work
from harness.models.catalog.catalog import (
    alias_names,
    catalog_model,
    catalog_models,
    catalog_names,
    listed_names,
    load_spec,
    read_catalog_model,
    spec_names,
)
from harness.models.catalog.target import catalog_target
from harness.models.specs.dissect import spec_structure
from harness.models.specs.structure import ParameterGroup, Role, Stage
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
    "gemma-3n-e4b": 4_486_425_328,
    "nemotron-3-nano-30b-a3b": 3_227_751_872,
    "falcon-h1-1.5b-deep": 1_470_886_032,
}


def test_the_catalog_has_131_models_and_lists_254():
    """A file each; aliases with numbers of their own are listed beside them."""
    assert len(NAMES) == 131
    assert set(NAMES) < set(listed_names())
    assert [model.name for model in catalog_models()] != list(listed_names())  # by size
    assert len(catalog_models()) == len(listed_names()) == 254


# `parameters` of the shared table of published measurements.
MEASURED_BY_OTHERS = {
    "baichuan2-7b": 7_505_973_248,
    "bert-base-uncased": 109_482_240,
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "falcon3-7b": 7_455_550_464,
    "granite-3.1-8b": 8_170_848_256,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "phi-4": 14_659_507_200,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "vit-base-patch16-224": 86_567_656,
    "albert-base-v2": 11_683_584,
    "mobilebert": 24_581_888,
    "electra-base": 108_891_648,
    "nomic-embed-text-v1.5": 136_731_648,
}


@pytest.mark.parametrize(("name", "parameters"), MEASURED_BY_OTHERS.items())
def test_models_that_others_measured_are_known_to_the_last_parameter(name, parameters):
    assert catalog_target(name).parameters == parameters


@pytest.mark.parametrize("name", sorted({*alias_names()} & {*listed_names()}))
def test_an_alias_counts_as_published(name):
    model = catalog_model(name)
    if model.published_parameters is None:
        assert "no exact count" in model.expected_delta_reason
        return
    assert model.structure.parameters - model.published_parameters == model.expected_delta
    assert (model.expected_delta == 0) == (model.expected_delta_reason == "")


def test_layers_that_share_weights_are_stored_once_and_multiplied_twelve_times():
    """ALBERT base: 7.1 M parameters in its layers, 2 · 12 of them a token; BERT's are 85 M."""
    albert, bert = (catalog_model(name).structure for name in ("albert-base-v2", "bert-base-cased"))
    assert albert.parameters < bert.parameters / 9
    shape = Pass(64, stage=Stage.ENCODER)
    flop = [
        sum(term.useful_flop for term in pass_work(one, LEVELS["fp16"], ANY_ENGINE, shape))
        for one in (albert, bert)
    ]
    assert flop[0] == pytest.approx(flop[1], rel=0.02)


def test_models_of_2026_keep_what_their_table_says():
    """Bytes of a cached token, growing and in windows at fp16, and of the states."""
    for name, kept, growing, window, state in (
        ("gemma-3n-e2b", 40_960, 8_192, 16_777_216, 0),
        ("gemma-3n-e4b", 40_960, 8_192, 16_777_216, 0),
        ("lfm2-2.6b", 16_384, 16_384, 0, 360_448),
        ("falcon-h1-1.5b-deep", 67_584, 67_584, 0, 105_431_040),
        ("nemotron-nano-9b-v2", 16_384, 16_384, 0, 145_539_072),
        ("nemotron-3-nano-30b-a3b", 6_144, 6_144, 0, 49_930_240),
        ("exaone-4.0-1.2b", 61_440, 61_440, 0, 0),
        ("hyperclovax-seed-0.5b", 98_304, 98_304, 0, 0),
        ("hunyuan-4b", 147_456, 147_456, 0, 0),
    ):
        one = catalog_model(name).structure
        assert one.kv_bytes_per_token(2) == kept
        assert 2 * one.growing_values_per_token == growing
        assert (2 * one.window_values, one.state_bytes) == (window, state)


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
    counted |= {"clip-vit-b-16": -197, "clip-vit-l-14": -257, "electra-small": -256 * 257}
    counted |= {"embeddinggemma-300m": 2 * 768 * 3072, "jina-embeddings-v3": -12_946_300}
    rounded = {"exaone-3.5-2.4b", "exaone-3.5-7.8b", "exaone-3.5-32b", "jais-6.7b"}
    rounded |= {"distil-whisper-large-v3"}
    assert odd == {"ministral-3-3b", *rounded, *LFM2_MOE, *GEMMA_4, *counted}
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


PARTS = """
name = "m"
kind = "parts"
hf_id = ""
license = ""
source = ""
[shape]
like = "decoder"
hidden_size = 8
intermediate_size = 16
num_layers = 2
max_context_tokens = 32
vocab_size = 10
part = [
    { name = "embedding", role = "tied", outputs = 10, inputs = 8 },
    { name = "body", role = "body", outputs = 16, inputs = 8, copies = 2 },
]
attention = [{ layers = 2, heads = 2, kv_heads = 1, head_dim = 4 }]
"""


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('role = "tied"', 'role = "tide"', "role"),
        ("outputs = 16", "outputs = 0", "outputs"),
        ("copies = 2", "copy = 2", "copy"),
        ("heads = 2, ", "", "heads"),
    ],
)
def test_a_model_is_told_array_by_array(tmp_path, old, new, named):
    """10·8 + 2·16·8 = 336 values; two layers keep 2·2·4 values of a token."""
    path = tmp_path / "m.toml"
    path.write_text(PARTS)
    structure = read_catalog_model(path).structure
    assert (structure.parameters, structure.kv_values_per_token) == (336, 16)
    path.write_text(PARTS.replace(old, new))
    with pytest.raises(ModelError) as raised:
        read_catalog_model(path)
    assert named in str(raised.value)


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
