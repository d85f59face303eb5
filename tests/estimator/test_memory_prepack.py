"""What a load holds for a moment beside the copies of weights, by when these are made."""

from dataclasses import replace

import pytest

from harness.builder.quantize.levels import find_level
from harness.estimator.memory import ORT_CPU, peak_memory
from harness.models.catalog.catalog import load_spec
from harness.models.specs.dissect import spec_structure

MIB = 2**20


@pytest.mark.parametrize(
    ("level", "prepack", "measured_mib"),
    [
        ("int4", "off", 204.6),
        ("int4", "on", 225.9),
        ("int4", "parallel", 255.4),
        ("fp32", "off", 698.0),
        ("fp32", "on", 803.8),
        ("fp32", "parallel", 1100.8),
    ],
)
def test_peaks_of_all_forms_are_estimated(level, prepack, measured_mib):
    """Eight decode steps of smollm2-135m, onnxruntime 1.32.0 on x86: within 5 %."""
    model = spec_structure(load_spec("smollm2-135m"))
    runtime = replace(ORT_CPU, packing=prepack)
    found = peak_memory(model, find_level(level), prompt_tokens=1, gen_tokens=8, runtime=runtime)
    assert found.peak_bytes / MIB == pytest.approx(measured_mib, rel=0.05)
