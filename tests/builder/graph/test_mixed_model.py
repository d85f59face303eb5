"""A graph over two data files: all of one level, all of the other, or some of each."""

import numpy as np
import onnx
import pytest

from harness.builder.graph.decoder import build_decoder, mixed_model
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.mixture import Mixture
from harness.builder.graph.rules import ALL_LOGITS_FILE, DATA_FILE
from harness.builder.graph.storage import Role, plan_storage
from harness.builder.quantize.levels import LEVELS
from harness.store.links import link_file
from tests.builder.graph.random_weights import RandomWeights
from tests.builder.graph.run_graph import GraphRun, open_graph
from tests.tiny import AT_EVERY_LEVEL, SPECS

BASE = LEVELS["fp32"]


# Blocks of every architecture; channels of a plain one, of a mixture and of convolutions.
GRID = [(name, "int4") for name in SPECS] + [(name, "int8") for name in AT_EVERY_LEVEL]


@pytest.fixture(scope="module", params=GRID, ids="-".join)
def both(request, tmp_path_factory):
    """A tiny architecture built at fp32 and at a level, their data files linked side by side."""
    name, level = request.param
    spec, tmp_path = SPECS[name], tmp_path_factory.mktemp(f"{name}-{level}")
    for one in ("fp32", level):
        folder = tmp_path / one
        folder.mkdir()
        build_decoder(spec, LEVELS[one], RandomWeights(spec), folder)
    link_file(tmp_path / "fp32" / DATA_FILE, tmp_path / "a.data")
    link_file(tmp_path / level / DATA_FILE, tmp_path / "b.data")
    return spec, LEVELS[level], tmp_path


def logits(spec, level, path):
    ids = np.random.default_rng(3).integers(0, spec.vocab_size, (1, 9))
    return GraphRun(open_graph(path), geometry_of(spec, level), 1).run(ids)


def mix(both, chosen):
    spec, level, folder = both
    path = folder / "mixed.onnx"
    model = mixed_model(spec, Mixture(BASE, level, frozenset(chosen)), "a.data", "b.data")
    path.write_bytes(model.SerializeToString())
    return path


def matrices(spec, level):
    return [weight.name for weight in plan_storage(spec, level) if weight.role is not Role.VECTOR]


def test_no_matrix_chosen_is_the_base(both):
    spec, _level, folder = both
    mixed = logits(spec, BASE, mix(both, ()))
    np.testing.assert_array_equal(mixed, logits(spec, BASE, folder / "fp32" / ALL_LOGITS_FILE))


def test_every_matrix_chosen_is_the_other_level(both):
    spec, level, folder = both
    mixed = logits(spec, BASE, mix(both, matrices(spec, level)))
    expected = logits(spec, level, folder / level.name / ALL_LOGITS_FILE)
    np.testing.assert_array_equal(mixed, expected)


def test_some_matrices_chosen_lie_between(both):
    """Half of the matrices move the logits, but less than all of them do."""
    spec, level, folder = both
    base = logits(spec, BASE, folder / "fp32" / ALL_LOGITS_FILE)
    other = logits(spec, level, folder / level.name / ALL_LOGITS_FILE)
    mixed = logits(spec, BASE, mix(both, [n for n in matrices(spec, level) if "mlp" in n]))
    assert 0 < np.abs(mixed - base).mean() < np.abs(other - base).mean()


def test_each_weight_is_read_from_the_file_of_its_level(both):
    spec, level, _folder = both
    chosen = [name for name in matrices(spec, level) if "layers.1" in name]
    model = onnx.load(mix(both, chosen), load_external_data=False)
    files = {tensor.name: tensor.external_data[0].value for tensor in model.graph.initializer}
    of_other = {name for name, file in files.items() if file == "b.data"}
    assert {name.rpartition(".")[0] for name in of_other} == set(chosen)
