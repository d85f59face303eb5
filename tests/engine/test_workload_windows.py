"""Caches of a window's size: the logits of whole caches, less memory, and the way back."""

from dataclasses import asdict, replace

import numpy as np
import onnx
import pytest

from harness.builder.graph.decoder import build_decoder, write_windowed
from harness.builder.graph.geometry import geometry_from, geometry_of
from harness.builder.graph.rules import GRAPH_FILE, WINDOWED_FILE
from harness.builder.quantize.levels import find_cache, find_level
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.decoder import DecoderSession
from harness.engine.exported.opening import open_exported_decoder
from harness.engine.passes import run_pass
from harness.engine.workload import Workload
from harness.models.specs.layers import cache_rows, kept_rows
from harness.models.weights.seeded import SeededWeights
from harness.results.enums import Kind
from tests.engine.exported import geometry_of as geometry_of_export
from tests.engine.exported import sessions_of
from tests.engine.tiny_decoder import TinyDecoder
from tests.tiny import SPECS

CAPACITY = 200
# Of Gemma 4 the owners are layers 0 to 3; the last two with keys of their own are read by others.
FAMILIES = {
    **{name: SPECS[name] for name in ("mistral", "gemma2", "gpt_oss")},
    "gemma4": replace(SPECS["gemma4"], num_layers=6),
}
SLIDING = {"mistral": [0, 1], "gemma2": [0, 2], "gpt_oss": [0], "gemma4": [0]}


class Built:
    """One family whose window is 9 tokens, and both of its decoders."""

    def __init__(self, spec, folder, level="fp32"):
        spec = replace(spec, sliding_window_tokens=9, max_context_tokens=256)
        row = find_level(level)
        build_decoder(spec, row, SeededWeights(spec, 0), folder)
        self.spec, self.folder, self.geometry = spec, folder, geometry_of(spec, row)
        self.ids = np.random.default_rng(3).integers(0, spec.vocab_size, (3, CAPACITY))

    def decoder(self, batch=1, capacity=CAPACITY, windowed=True):
        geometry = self.geometry.for_capacity(capacity) if windowed else self.geometry
        graph = self.folder / geometry.main_file
        opened = open_session(graph, find_device("cpu"), threads=1)
        return DecoderSession(opened, geometry, batch, capacity)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def built(family, tmp_path_factory):
    return Built(FAMILIES[family], tmp_path_factory.mktemp(family))


def follow(decoder, ids, moves):
    """The last logits after every run: a number of tokens, `-n` back to n, `(depth,)` filled."""
    found = []
    for move in moves:
        at = decoder.depth_tokens
        match move:
            case (depth,):
                decoder.fill(depth, 7)
            case int() if move > 0:
                decoder.prefill(ids[:, at : at + move])
                found.append(decoder.last_logits.copy())
            case _:
                decoder.rewind(-move)
    return np.array(found)


@pytest.mark.parametrize("batch", [1, 3])
def test_logits_are_those_of_whole_caches(built, batch):
    """A prompt longer than the window in one pass, steps and pieces far beyond it."""
    moves = (30, *[1] * 12, 20, 1, 9, 10, 40, *[1] * 3)
    ids = built.ids[:batch]
    whole = follow(built.decoder(batch, windowed=False), ids, moves)
    np.testing.assert_allclose(
        follow(built.decoder(batch), ids, moves), whole, rtol=0, atol=1e-5 * np.abs(whole).max()
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_going_back_brings_the_window_back(built, batch):
    """To every kind of place: within the rows that are there, before them, into what was drawn."""
    moves = (30, 1, 1, -31, 1, 1, 1, -12, 5, 20, 0, 5, 40, (100,), 1, 1, 1, 20, -100, 1, 1)
    moves += (-101, 9, -60, 1, 1, 30, -62, 3, (7,), 2, 50, -20, 1, -3, 15)
    ids = built.ids[:batch]
    whole = follow(built.decoder(batch, windowed=False), ids, moves)
    np.testing.assert_allclose(
        follow(built.decoder(batch), ids, moves), whole, rtol=0, atol=1e-5 * np.abs(whole).max()
    )


@pytest.mark.parametrize(
    "workload",
    [
        Workload(Kind.DECODE, 0, 25, 40),
        Workload(Kind.REQUEST, 30, 12),
        Workload(Kind.PREFILL, 5, 0, 90),
    ],
)
def test_every_pass_of_a_test_chooses_what_whole_caches_choose(built, workload):
    ids, digests = built.ids[:1, : max(1, workload.prompt_tokens)], set()
    for windowed in (False, True):
        decoder = built.decoder(windowed=windowed)
        decoder.fill(workload.depth_tokens, 1)
        digests |= {run_pass(decoder, workload, ids).digest for _ in range(3)}
    assert len(digests) == 1


def test_which_layers_keep_a_window_alone(built, family):
    """Those that see one, unless another layer reads their keys: that takes a whole cache."""
    rows = {c.layer: c.window_tokens for c in built.geometry.layer_caches}
    assert [layer for layer, window in rows.items() if window] == SLIDING[family]
    model = onnx.load(built.folder / WINDOWED_FILE, load_external_data=False)
    marked = [
        node.input[3].split(".")[1]
        for node in model.graph.node
        if any(a.name == "sliding_window_cache" and a.i == 1 for a in node.attribute)
    ]
    assert [int(layer) for layer in marked] == SLIDING[family]


def test_bytes_are_those_of_the_rows(built, family):
    """10 rows of a window of 9, and 200 of others: 2 · heads · width · 4 bytes each."""
    windowed = built.geometry.for_capacity(CAPACITY)
    expected = sum(
        2 * c.num_kv_heads * c.head_dim * 4 * (10 if c.layer in SLIDING[family] else CAPACITY)
        for c in windowed.layer_caches
    )
    assert windowed.cache_bytes(CAPACITY) == expected < built.geometry.cache_bytes(CAPACITY)
    bound = sum(array.nbytes for _, array in built.decoder()._cache)
    assert bound == expected
    assert geometry_from(asdict(windowed)) == windowed


def exported(capacity=63):
    """The builder's default for Gemma 2: layer 0 keeps a window of 32, layer 1 everything."""
    name = "genai/gemma2-window"
    return open_exported_decoder(sessions_of(name), geometry_of_export(name), 1, capacity, None)


def test_an_export_keeps_its_window_alone():
    """36 rows, 32 and an eighth, of 63; and what its caches take is counted so."""
    decoder = exported()
    rows = sorted(array.shape[2] for array in decoder._shared._arrays)
    assert rows == [36, 36, 63, 63]
    layout = geometry_of_export("genai/gemma2-window").model.main.cache
    assert layout.bound_bytes(63) == 2 * (36 + 63) * 2 * 16 * 4
    assert layout.bound_bytes(20) == 2 * (32 + 20) * 2 * 16 * 4


def test_an_export_goes_back_in_its_window():
    """After every run the logits of one pass over the same tokens; drawn ones come back as well."""
    decoder, ids = exported(), np.random.default_rng(3).integers(0, 160, (1, 63))
    for move in (20, *[1] * 20, -30, 1, 9, -38, 1, 1, 20, 0, 45, 1, -40, 2):
        if move > 0:
            at = decoder.depth_tokens
            found = decoder.prefill(ids[:, at : at + move])[:, 0].copy()
            whole = exported().read_whole(ids[:, : at + move])
            np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
        else:
            decoder.rewind(-move)
    decoder.fill(50, 7)
    first = follow(decoder, ids, (1, 1, 1, 1, 1))
    for _ in range(2):
        decoder.rewind(50)
        np.testing.assert_array_equal(follow(decoder, ids, (1, 1, 1, 1, 1)), first)


def test_short_sequences_have_whole_caches(built):
    """A sliding cache holds a window at least, so what fits 10 rows gains nothing."""
    assert built.geometry.for_capacity(10) == built.geometry
    assert built.geometry.for_capacity(10).main_file == GRAPH_FILE
    assert built.geometry.for_capacity(11).main_file == WINDOWED_FILE


def test_a_context_within_the_window_has_no_second_graph(tmp_path):
    spec = replace(SPECS["mistral"], sliding_window_tokens=64)
    geometry = geometry_of(spec, find_level("fp32"))
    assert geometry.for_capacity(10_000) == geometry  # it takes 64 tokens
    write_windowed(geometry.sliding_layers, tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("cache", "head_dim"), [("int8", 16), ("int4", 32)])
def test_caches_of_integers_slide_too(tmp_path, cache, head_dim):
    window = {"sliding_window_tokens": 9, "full_attention_every": 2}
    tiny = TinyDecoder(tmp_path, "int4", 256, cache=cache, head_dim=head_dim, **window)
    found = []
    for geometry in (tiny.geometry, tiny.geometry.for_capacity(CAPACITY)):
        tiny.graph = tmp_path / geometry.main_file
        decoder = DecoderSession(tiny.open(), geometry, 1, CAPACITY)
        ids = np.random.default_rng(3).integers(0, 96, (1, CAPACITY))
        found.append(follow(decoder, ids, (30, *[1] * 12, (100,), 1, 1, -100, 1)))
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-5 * np.abs(found[0]).max())


def test_heads_that_the_kernel_does_not_slide_keep_everything():
    """Two values a byte and heads of 16: refused by the kernel ("must be a multiple of 32")."""
    level = find_level("fp32")
    spec = replace(SPECS["mistral"], sliding_window_tokens=9, head_dim=16)
    windows = [
        {c.window_tokens for c in geometry_of(spec, level, find_cache(kept, level)).layer_caches}
        for kept in ("int4", "int8")
    ]
    assert windows == [{None}, {9}]


@pytest.mark.parametrize(
    ("window", "tokens", "rows"),
    [
        (None, 500, 500),
        (8, 500, 9),
        (8, 8, 8),
        (128, 500, 144),
        (512, 4096, 576),
        (4096, 8192, 4160),
    ],
)
def test_rows_of_a_window(window, tokens, rows):
    """An eighth more than the window, and at most 64: what is moved is moved so seldom."""
    assert cache_rows(window, tokens) == rows


def test_rows_that_are_kept_are_those_that_the_operator_says():
    """W = 8, C = 12: 5 leave at once, at 13, 18, 23 tokens."""
    kept = [kept_rows(8, 12, tokens) for tokens in (0, 11, 12, 13, 17, 18, 22, 23, 36)]
    assert kept == [0, 11, 12, 8, 12, 8, 12, 8, 11]
