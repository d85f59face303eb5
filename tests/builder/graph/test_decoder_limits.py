"""What a kernel cannot run is refused by name, before anything is written."""

from dataclasses import replace

import pytest

from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.static.geometry import static_geometry
from harness.builder.quantize.levels import LEVELS, STATIC_LEVELS
from harness.core.errors import ModelError
from harness.models.specs.layers import Experts
from tests.tiny import LLAMA, SPECS

STATIC = next(iter(STATIC_LEVELS.values()))


def test_heads_of_a_width_without_a_kernel_are_refused():
    """GroupQueryAttention runs multiples of 8; other than of 16 are turned before it."""
    with pytest.raises(ModelError, match="heads are 20 wide"):
        geometry_of(replace(LLAMA, head_dim=20), LEVELS["fp32"])
    assert geometry_of(replace(LLAMA, head_dim=24), LEVELS["fp32"]).head_dim == 24


def test_longrope_is_built_up_to_the_first_context():
    """Beyond it every cached key would have to be rotated anew."""
    assert geometry_of(SPECS["phi3"], LEVELS["fp32"]).max_context_tokens == 32


@pytest.mark.parametrize("name", ["olmo2", "phi3", "gemma2", "gemma3", "phi", "gpt2", "mixtral"])
def test_static_decoders_name_what_they_do_not_have(name):
    with pytest.raises(ModelError, match="a static decoder does not have") as caught:
        static_geometry(SPECS[name], STATIC, 4, 8)
    assert "fused" in caught.value.fix


@pytest.mark.parametrize("name", ["llama", "untied", "stretched", "mistral", "qwen2", "qwen3"])
def test_static_decoders_have_llamas_block(name):
    assert static_geometry(SPECS[name], STATIC, 4, 8).num_layers == 2


def test_two_widths_of_bits_in_one_mixture_are_refused():
    """int4-mixed-plus keeps some down matrices at 8 bits."""
    with pytest.raises(ModelError, match="different bits") as caught:
        geometry_of(SPECS["mixtral"], LEVELS["int4-mixed-plus"])
    assert "QMoE" in caught.value.fix


def test_experts_that_do_not_divide_into_blocks_are_refused():
    spec = replace(SPECS["mixtral"], experts=Experts(4, 2, 96))
    with pytest.raises(ModelError, match="width 96 do not divide into blocks of 64"):
        geometry_of(spec, LEVELS["int4-b64"])
    assert geometry_of(spec, LEVELS["int8"]).num_layers == 2
