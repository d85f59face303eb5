"""Real architectures, really built: exact bytes on the disk, and a peak that does not grow."""

from dataclasses import replace

import pytest

from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS
from harness.core.units import GIB, KIB
from harness.models.weights.source import resolve_model
from harness.store.cache import ensure_artifact
from tests.tiny import ONE_OF_EACH_FORM

# The data file pads every array to this; graphs and records are small beside it.
ALIGNMENT_BYTES = 4 * KIB

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("level", [*ONE_OF_EACH_FORM, "int2-kquant"])
def test_a_real_model_at_each_form_and_searched(level, tmp_path):
    """Other widths and blocks: tests/builder/graph, tiny models built and this one planned."""
    source = resolve_model("smollm2-135m")
    built = ensure_artifact(source, level, tmp_path)
    assert built.weights_bytes == stored_bytes(source.spec, LEVELS[level])
    on_disk = (built.folder / "model.onnx.data").stat().st_size
    arrays = 20 * source.spec.num_layers  # more than any level stores per layer
    assert built.weights_bytes <= on_disk <= built.weights_bytes + arrays * ALIGNMENT_BYTES
    assert built.build_peak_bytes < GIB // 4


def test_half_a_billion_parameters_are_streamed(tmp_path):
    """2.0 GB at fp32, the table alone 1.05 GB: four layers of the sixteen of Llama 3.2 1B."""
    source = resolve_model("llama-3.2-1b")
    shallow = replace(source, spec=replace(source.spec, num_layers=4))
    built = ensure_artifact(shallow, "int4", tmp_path)
    assert built.parameters * 4 > 1.8 * GIB
    assert built.build_peak_bytes < GIB
