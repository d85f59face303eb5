"""What a load holds for a moment beside the copies of weights, by when these are made."""

from dataclasses import replace

import pytest

from harness.builder.quantize.levels import find_level
from harness.estimator.memory import ORT_CPU, peak_memory
from harness.models.catalog.catalog import load_spec
from harness.models.specs.dissect import spec_structure

MIB = 2**20


@pytest.mark.parametrize(
    ("name", "level", "prepack", "threads", "measured_mib"),
    [
        ("smollm2-135m", "int4", "off", 2, 204.6),
        ("smollm2-135m", "int4", "on", 1, 195.7),
        ("smollm2-135m", "int4", "on", 2, 257.2),
        ("smollm2-135m", "int4", "parallel", 2, 255.4),
        ("smollm2-135m", "fp32", "off", 2, 698.0),
        ("smollm2-135m", "fp32", "on", 1, 594.7),
        ("smollm2-135m", "fp32", "on", 2, 1101.9),
        ("smollm2-135m", "fp32", "parallel", 2, 1100.8),
        ("smollm2-135m", "int8", "on", 1, 228),
        ("smollm2-135m", "fp16", "on", 1, 615),
        ("qwen2.5-0.5b", "int4", "on", 1, 504),
        ("qwen2.5-0.5b", "int4", "on", 2, 729.4),
        ("qwen2.5-0.5b", "fp32", "on", 1, 2004),
        ("gemma-3-270m", "int4", "on", 1, 321),
        ("llama-3.2-1b", "int4", "on", 1, 1123),
        ("llama-3.2-1b", "int4", "on", 2, 1704.6),
        ("llama-3.2-1b", "fp32", "on", 1, 4932),
    ],
)
def test_peaks_of_all_forms_are_estimated(name, level, prepack, threads, measured_mib):
    """Eight decode steps, onnxruntime 1.32.0 on x86: within 5 %."""
    model = spec_structure(load_spec(name))
    runtime = replace(ORT_CPU, packing=prepack, packing_threads=threads)
    found = peak_memory(model, find_level(level), prompt_tokens=1, gen_tokens=8, runtime=runtime)
    assert found.peak_bytes / MIB == pytest.approx(measured_mib, rel=0.05)


def test_a_head_in_slices_is_packed_a_slice_at_a_time():
    """llama-3.2-1b at fp32: 1,002 MiB of head in sixteen slices of 62.7, a layer's matrix has 64.

    Loading holds the original and the copy of the larger, and no table is whole in memory.
    """
    model = spec_structure(load_spec("llama-3.2-1b"))
    runtime = replace(ORT_CPU, packing="on")
    found = peak_memory(model, find_level("fp32"), prompt_tokens=1, runtime=runtime)
    rest = sum(found.part_bytes(part) for part in ("activations", "arena slack", "rows looked up"))
    loading = found.part_bytes("loading, beyond the run") + found.part_bytes("cache") + rest
    assert loading / MIB == pytest.approx(2 * 64)
    assert not found.part_bytes("mapped file") + found.part_bytes("rotary tables")
