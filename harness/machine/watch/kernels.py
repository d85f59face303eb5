"""Which kernels of the CPU a session takes, and with them the order that weights are copied in."""

from dataclasses import dataclass

from harness.machine.watch.facts import machine_facts
from harness.results.environment import MachineFacts

# Distributions that carry the package onnxruntime.
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-qnn", "onnxruntime-openvino")


@dataclass(frozen=True, slots=True)
class KernelSet:
    """What decides how kernels lay weights out.

    Attributes:
        instructions: vector extensions of the processor; where the system tells none, its model.
        onnxruntime: release.
    """

    instructions: tuple[str, ...]
    onnxruntime: str

    def __str__(self) -> str:
        """Both, for messages."""
        return f"{' '.join(self.instructions)}, onnxruntime {self.onnxruntime}"


def kernels_here(facts: MachineFacts | None = None) -> KernelSet:
    """The kernels that a session on this machine's CPU takes.

    Args:
        facts: of a machine; None: of this one.
    """
    found = facts or machine_facts()
    told = found.cpu_vector_extensions or (found.cpu_model or "unknown processor",)
    packages = found.packages or {}
    release = next((packages[name] for name in RUNTIMES if name in packages), "unknown")
    return KernelSet((found.architecture or "", *sorted(told)), release)
