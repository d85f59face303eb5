"""Every shipped architecture at every level, planned and described without writing a weight.

By default at one level of each storage form. The other levels, which store the same forms at other
widths and blocks, are slow: for one model of each kind, and of a decoder's two graphs, which differ
behind the last layer, against the first. Tiny models of every family, whose sizes fill no block,
are built at every level in test_decoder_build.py.
"""

from dataclasses import replace

import pytest

from harness.builder.graph.decoder import decoder_model
from harness.builder.graph.encoder import encoder_model
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.storage import PAGE_BYTES, plan_storage
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS, check_experts
from harness.core.errors import ModelError
from harness.models.catalog.catalog import load_spec, spec_names
from harness.models.specs.model import ModelSpec
from harness.models.specs.tensors import built_parameters
from tests.builder.graph.stored_values import place
from tests.tiny import ONE_OF_EACH_FORM


def can_be_stored(spec, level):
    """Whether the model's experts, if it has any, can be multiplied at this level."""
    if type(spec) is not ModelSpec:
        return True
    try:
        check_experts(spec, LEVELS[level])
    except ModelError:
        return False
    return True


SHIPPED = {name: load_spec(name) for name in spec_names()}
GRID = [
    (name, level)
    for name, spec in SHIPPED.items()
    for level in LEVELS
    if can_be_stored(spec, level)
]


def kind_of(spec):
    """What decides which arrays there are and whether rows fill their blocks."""
    tied = getattr(spec, "tied_embeddings", False)
    return spec.family, tied, spec.hidden_size % 128 == 0, spec.intermediate_size % 128 == 0


ONE_OF_EACH_KIND = {kind_of(spec): name for name, spec in reversed(SHIPPED.items())}.values()
MARKED_GRID = [
    pytest.param(name, level, marks=() if level in ONE_OF_EACH_FORM else pytest.mark.slow)
    for name, level in GRID
    if level in ONE_OF_EACH_FORM or name in ONE_OF_EACH_KIND
]


def graphs_of(spec, level, positions=(False, True)):
    """The two graphs of a decoder, of the last and of every position; or the one of an encoder."""
    if type(spec) is not ModelSpec:
        return [encoder_model(spec, level)]
    return [decoder_model(spec, level, every_position) for every_position in positions]


def unique_arrays(model):
    """Initializers by offset: two views of the same bytes count once."""
    return {place(tensor)[0]: tensor for tensor in model.graph.initializer}


@pytest.mark.parametrize("name", spec_names())
def test_initializers_hold_every_published_parameter_once(name):
    """Formula = elements of the graph's initializers = published count (+ the known delta).

    A pooler is published, but not built.
    """
    spec = SHIPPED[name]
    tensors = unique_arrays(graphs_of(spec, LEVELS["fp32"], (False,))[0]).values()
    elements = sum(place(tensor)[1] for tensor in tensors) // 4
    assert elements == built_parameters(spec)
    if type(spec) is ModelSpec and spec.published_parameters is not None:
        assert elements == spec.published_parameters + spec.expected_delta


@pytest.mark.parametrize(("name", "level"), MARKED_GRID)
def test_a_plan_is_what_its_graphs_hold(name, level):
    """Regions follow one another on pages; the formula's bytes are those of the initializers."""
    spec, row = SHIPPED[name], LEVELS[level]
    end_bytes = 0
    for weight in plan_storage(spec, row):
        for region in weight.regions:
            assert region.offset_bytes % PAGE_BYTES == 0
            assert 0 <= region.offset_bytes - end_bytes < PAGE_BYTES
            end_bytes = region.end_bytes
    models = graphs_of(spec, row, (False, True) if level in ONE_OF_EACH_FORM else (False,))
    totals = {sum(place(tensor)[1] for tensor in unique_arrays(model).values()) for model in models}
    assert totals == {stored_bytes(spec, row)}
    if row.weight_bits <= 8:
        check_no_large_float(models[0])


def check_no_large_float(model):
    """No float over 1 MB, be it an initializer or a constant; scales belong to their integers."""
    constants = [node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"]
    assert max(constant.ByteSize() for constant in constants) < 4096
    floats = [
        place(tensor)[1]
        for tensor in model.graph.initializer
        if tensor.data_type == tensor.FLOAT and not tensor.name.endswith(".scales")
    ]
    assert max(floats) <= 1_000_000


def test_every_form_and_width_of_storage_is_planned_by_default():
    """A level left to the slow tests differs from one of these in bits, blocks or search alone."""
    levels = [LEVELS[level] for level in ONE_OF_EACH_FORM]

    def forms(level):
        body, sensitive, table = level.body, level.body_format(sensitive=True), level.table
        return [(one.form, one.zero_points) for one in (body, sensitive, table)], (
            level.float_bytes,
            body.bits != sensitive.bits or body.bits != table.bits,
        )

    assert {str(forms(level)) for level in LEVELS.values()} == {str(forms(one)) for one in levels}


def test_only_levels_of_two_widths_are_left_out_above_and_only_of_mixtures():
    """Every other model is described at every level."""
    out = {(n, level) for n in spec_names() for level in LEVELS} - set(GRID)
    mixtures = {"mixtral-8x22b", "qwen1.5-moe-a2.7b", "qwen3-30b-a3b"}
    mixtures |= {"gpt-oss-20b", "lfm2-8b-a1b", "granite-4.0-h-tiny", "qwen3.6-35b-a3b"}
    assert {name for name, _ in out} == mixtures
    rows = [LEVELS[level] for _, level in out]
    assert all(row.sensitive or (row.body.block_weights or 0) >= 64 for row in rows)


@pytest.mark.parametrize(("stated", "built"), [(8192, 8192), (32_768, 32_768), (131_072, 32_768)])
def test_context_is_kept_up_to_the_rule(stated, built):
    """Beyond 32,768 positions the rotary tables would outgrow what they serve."""
    spec = replace(load_spec("smollm2-135m"), max_context_tokens=stated)
    assert geometry_of(spec, LEVELS["int4"]).max_context_tokens == built


def test_heads_the_operator_cannot_run_are_refused_before_a_build():
    """GroupQueryAttention: head_size shall be a multiple of 8."""
    spec = replace(load_spec("smollm2-135m"), head_dim=76)
    with pytest.raises(ModelError, match="76 wide"):
        geometry_of(spec, LEVELS["int4"])
