"""Families of engines: which there are, of which kind, and how their peaks are counted."""

from dataclasses import dataclass

ENGINE_KINDS = ("cpu", "gpu", "npu")


@dataclass(frozen=True, slots=True)
class Family:
    """Engines that one maker builds alike and the same runtimes drive.

    Attributes:
        name: as an engine states it.
        kind: of its engines.
        meaning: which those are.
        peaks: how its peaks are counted, of an engine that says nothing else; may be empty.
    """

    name: str
    kind: str
    meaning: str
    peaks: str = ""


FAMILIES = (
    Family("arm-cpu", "cpu", "Cortex, Neoverse, Oryon and Carmel cores"),
    Family("apple-cpu", "cpu", "Apple's cores, without their matrix unit"),
    Family("x86-cpu", "cpu", "Intel's and AMD's cores"),
    Family("riscv-cpu", "cpu", "RISC-V cores"),
    Family(
        *("geforce", "gpu", "GeForce and RTX workstation cards, Pascal and later"),
        "dense, with FP16 accumulate",
    ),
    Family("nvidia-datacenter", "gpu", "NVIDIA's data centre cards and superchips", "dense"),
    Family("jetson", "gpu", "NVIDIA's GPUs on a board, in the memory of its cores", "dense"),
    Family("radeon", "gpu", "Radeon cards", "dense; FP32 by dual issue from RDNA 3 on"),
    Family(
        *("radeon-integrated", "gpu", "Radeon beside AMD's cores, in their memory"),
        "FP32 by dual issue from RDNA 3 on",
    ),
    Family("instinct", "gpu", "AMD's data centre cards", "dense"),
    Family(
        *("intel-integrated", "gpu", "Intel's graphics in the memory of its cores"),
        "8 bit by XMX where it has one, else by products of four",
    ),
    Family("intel-arc", "gpu", "Arc cards", "dense, by XMX"),
    Family(
        *("apple-gpu", "gpu", "Apple's graphics in unified memory"),
        "DERIVED: 128 lanes a core; no matrix unit before M5 and A19, FP16 as FP32",
    ),
    Family("adreno", "gpu", "Qualcomm's graphics", "FP16 at twice the rate of FP32"),
    Family("mali", "gpu", "Arm's graphics: Mali and Immortalis", "FP16 at twice FP32"),
    Family("powervr", "gpu", "Imagination's graphics", "FP16 at twice FP32"),
    Family("xclipse", "gpu", "Samsung's graphics of AMD's design", "FP16 at twice FP32"),
    Family("hexagon", "npu", "Qualcomm's tensor and vector processor"),
    Family(
        *("apple-neural-engine", "npu", "Apple's Neural Engine"),
        "as Apple counts: INT8 for M4, A17 Pro and later, FP16 before",
    ),
    Family("xdna", "npu", "AMD's Ryzen AI engine", "vendor"),
    Family("intel-npu", "npu", "Intel's AI Boost", "vendor"),
    Family("hailo", "npu", "Hailo's modules", "vendor"),
    Family("rknpu", "npu", "Rockchip's NPU", "vendor"),
    Family("mediatek-apu", "npu", "MediaTek's APU"),
    Family("exynos-npu", "npu", "Samsung's NPU"),
    Family("tensor-tpu", "npu", "the TPU of Google's phones"),
    Family("zhouyi", "npu", "Arm China's Zhouyi, on boards of CIX", "vendor"),
    Family("gaudi", "npu", "Intel's Gaudi cards"),
)
