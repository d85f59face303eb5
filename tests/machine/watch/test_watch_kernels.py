"""Kernels are told by the instructions of the processor and the release of the runtime."""

from harness.machine.watch.kernels import KernelSet, kernels_here
from harness.results.environment import MachineFacts


def test_kernels_are_told_by_instructions_and_release():
    """In an order that no probe decides; where no instructions are told, by the processor."""
    told = MachineFacts(
        architecture="x86_64",
        cpu_vector_extensions=("fma", "avx2"),
        packages={"onnxruntime-gpu": "1.31.0", "onnxruntime-genai": "0.18.0"},
    )
    assert kernels_here(told) == KernelSet(("x86_64", "avx2", "fma"), "1.31.0")
    untold = MachineFacts(architecture="AMD64", cpu_model="Some CPU")
    assert kernels_here(untold) == KernelSet(("AMD64", "Some CPU"), "unknown")
