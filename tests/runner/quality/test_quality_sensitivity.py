"""Groups of matrices, held at a level one at a time."""

import dataclasses
from itertools import chain

import pytest

from harness.builder.graph.mixture import LEVEL_DATA, REFERENCE_DATA
from harness.builder.graph.storage import Role, plan_storage
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import UsageError
from harness.core.units import MIB
from harness.models.catalog.catalog import load_spec
from harness.models.weights.source import resolve_model
from harness.runner.quality.chunks import ChunkPlan
from harness.runner.quality.groups import MOST_DEPTHS, groups_of
from harness.runner.quality.measure import measure_quality
from harness.runner.quality.sensitivity import DATA_LINKS, measure_sensitivity
from harness.store.cache import ensure_artifact

PLAN = ChunkPlan(chunk_tokens=24, chunks=20)
SPECS = ("smollm2-135m", "tinyllama-1.1b", "qwen3-0.6b")
PARTS = ("embedding", "head", "embedding and head", "qkv", "o", "gate and up", "down")


def saved(spec, level):
    return stored_bytes(spec, LEVELS["fp32"]) - stored_bytes(spec, LEVELS[level])


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("level", ["int8", "int4", "int4-mixed-plus", "int2-kquant"])
def test_kinds_and_tables_hold_every_matrix_once(name, level):
    """The bytes they save are all the bytes that the level saves."""
    spec = load_spec(name)
    groups = [g for g in groups_of(spec, LEVELS["fp32"], LEVELS[level]) if g.name in PARTS]
    names = [matrix for group in groups for matrix in group.matrices]
    stored = {w.name for w in plan_storage(spec, LEVELS[level]) if w.role is not Role.VECTOR}
    assert len(names) == len(stored)
    assert set(names) == stored
    assert sum(group.saved_bytes for group in groups) == saved(spec, level)


@pytest.mark.parametrize("name", SPECS)
def test_runs_of_layers_hold_every_layer_once(name):
    spec = load_spec(name)
    runs = [g for g in groups_of(spec, LEVELS["fp32"], LEVELS["int4"]) if g.name not in PARTS]
    assert len(runs) == min(MOST_DEPTHS, spec.num_layers)
    layers = [{int(matrix.split(".")[2]) for matrix in group.matrices} for group in runs]
    assert sorted(chain.from_iterable(layers)) == list(range(spec.num_layers))


def test_a_shallow_model_has_one_group_a_layer():
    spec = dataclasses.replace(load_spec("smollm2-135m"), num_layers=3)
    names = [group.name for group in groups_of(spec, LEVELS["fp32"], LEVELS["int4"])]
    assert names[-3:] == ["layer 0", "layer 1", "layer 2"]


def test_the_names_of_the_links_are_those_the_graphs_read():
    assert DATA_LINKS == (REFERENCE_DATA, LEVEL_DATA)


@pytest.fixture(scope="module")
def of_bytelm(shared_cache):
    source = resolve_model("bytelm")
    return source, lambda level: ensure_artifact(source, level, shared_cache)


@pytest.fixture(scope="module")
def losses(of_bytelm):
    """What each group of bytelm loses at int2, told by a child."""
    source, build = of_bytelm
    return measure_sensitivity(source, build("fp32"), build("int2"), plan=PLAN)


def test_groups_are_ranked_by_what_a_mebibyte_costs(losses, shared_cache):
    rates = [loss.kld_nats_per_mib for loss in losses]
    assert rates == sorted(rates, reverse=True)
    for loss in losses:
        assert loss.invalid is None
        assert loss.kld_nats.low <= loss.kld_nats.value <= loss.kld_nats.high
        assert loss.kld_nats_per_mib == loss.kld_nats.value / (loss.saved_bytes / MIB)
    assert not list(shared_cache.glob(".sensitivity-*"))


def test_no_group_loses_more_than_the_whole_level(of_bytelm, losses):
    """Holds for a level this coarse: the divergences of parts are far below that of all."""
    source, build = of_bytelm
    whole = measure_quality(source, build("fp32"), build("int2"), plan=PLAN).prefill.kld_nats
    assert max(loss.kld_nats.value for loss in losses) < whole.value
    assert min(loss.kld_nats.value for loss in losses) > 0


def test_other_weights_are_no_reference(of_bytelm, shared_cache):
    source, build = of_bytelm
    other = ensure_artifact(resolve_model("bytelm"), "int4", shared_cache)
    other = dataclasses.replace(other, weights_identity="sha256:other")
    with pytest.raises(UsageError, match="is not the fp32 reference"):
        measure_sensitivity(source, build("fp32"), other, plan=PLAN)
