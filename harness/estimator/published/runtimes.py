"""Runtimes that models are run with elsewhere: their words, the bits of their files, who has them.

The default of an engine is the runtime that its users run: the one with most published rows of the
device, else of most devices of its family, else the first of the family's row here.
"""

import re
from dataclasses import dataclass

from harness.builder.quantize.levels import LEVELS, QuantLevel
from harness.core.errors import UsageError, suggestion

Q4_K_M = (4.85, 6.56)  # bits of a weight of the body, and of the head, which is Q6_K
Q4_0 = (4.5, 6.56)
WIDE_BLOCK = 64  # weights a block from which on a level is told as Q4_0


@dataclass(frozen=True, slots=True)
class ServingRuntime:
    """One runtime.

    Attributes:
        name: the word the user types.
        words: that its published name holds, lower case.
        file_bits: nominal bits of a level -> bits of a body weight and of a head weight in its
            files, scales included; a level that is not there is stored as the level says.
        context_tokens: of the static graphs that it runs on NPUs; 0: its caches grow.
    """

    name: str
    words: tuple[str, ...]
    file_bits: dict[int, tuple[float, float]]
    context_tokens: int = 0


# In the order in which published names are looked through.
RUNTIMES = (
    ServingRuntime(
        "llama.cpp",
        ("llama.cpp", "ollama", "lm studio", "llamafile", "koboldcpp"),
        {8: (8.5, 8.5), 4: Q4_K_M},
    ),
    ServingRuntime("openvino", ("openvino",), {4: (4.5, 8.0), 8: (8.1, 8.1)}, 2048),
    ServingRuntime("genie", ("genie", "qnn"), {4: (4.25, 4.25), 8: (8.0, 8.0)}, 4096),
    ServingRuntime("ort", ("onnx", "ort", "oga"), {}, 4096),
    ServingRuntime("mlx", ("mlx",), {4: (4.5, 4.5), 8: (8.5, 8.5)}),
    ServingRuntime("coreai", ("core-ai", "coreai"), {4: (4.5, 6.0), 8: (8.5, 8.5)}),
    ServingRuntime("coreml", ("coreml", "core ml"), {4: (4.5, 6.0), 8: (8.5, 8.5)}),
    ServingRuntime("litert", ("litert", "mediapipe"), {4: (4.5, 6.0), 8: (8.5, 8.5)}),
    ServingRuntime("fastflowlm", ("fastflowlm",), {4: (4.5, 6.0)}),
    ServingRuntime("ryzen-ai", ("ryzen ai",), {4: (4.5, 6.0)}),
    ServingRuntime("mlc", ("mlc",), {4: (4.5, 4.5)}),
    ServingRuntime("tensorrt-llm", ("tensorrt",), {4: (4.5, 6.0), 8: (8.0, 16.0)}),
    ServingRuntime("vllm", ("vllm",), {4: (4.5, 16.0), 8: (8.0, 16.0)}),
    ServingRuntime("hailo", ("hailo",), {4: (4.5, 6.0)}),
    ServingRuntime("cactus", ("cactus",), {4: (4.5, 6.0), 8: (8.5, 8.5)}),
    ServingRuntime("executorch", ("executorch",), {4: (4.5, 8.5), 8: (8.5, 8.5)}),
    ServingRuntime("gpt-fast", ("gpt-fast",), {4: (4.5, 16.0), 8: (8.0, 8.0)}),
    ServingRuntime("rkllm", ("rkllm", "rknn"), {8: (8.0, 8.0)}, 4096),
)
_BY_NAME = {runtime.name: runtime for runtime in RUNTIMES}
# A backend under another runtime's name is neither of the two.
MIXED_WORDS = ("llama.cpp openvino", "llama.cpp qnn")

# Family of an engine -> runtimes that there are for it; the first is taken where none is published.
FAMILY_RUNTIMES: dict[str, tuple[str, ...]] = {
    "arm-cpu": ("llama.cpp", "ort", "litert", "executorch", "cactus"),
    "apple-cpu": ("llama.cpp", "ort", "executorch", "litert", "cactus"),
    "x86-cpu": ("llama.cpp", "ort", "openvino"),
    "riscv-cpu": ("llama.cpp", "ort"),
    "geforce": ("llama.cpp", "tensorrt-llm", "vllm", "mlc", "ort", "gpt-fast"),
    "nvidia-datacenter": ("llama.cpp", "tensorrt-llm", "vllm", "ort", "gpt-fast", "mlc"),
    "jetson": ("llama.cpp", "mlc", "tensorrt-llm", "vllm", "ort"),
    "radeon": ("llama.cpp", "mlc", "vllm", "ort", "gpt-fast"),
    "radeon-integrated": ("llama.cpp", "ort", "mlc"),
    "instinct": ("llama.cpp", "vllm", "gpt-fast"),
    "intel-integrated": ("openvino", "llama.cpp", "vllm", "ort"),
    "intel-arc": ("openvino", "llama.cpp", "vllm", "ort"),
    "apple-gpu": ("llama.cpp", "mlx", "coreai", "litert", "mlc", "cactus", "ort", "coreml"),
    "adreno": ("llama.cpp", "mlc", "litert", "ort", "executorch"),
    "mali": ("llama.cpp", "mlc", "litert"),
    "powervr": ("llama.cpp", "litert"),
    "xclipse": ("llama.cpp", "litert"),
    "hexagon": ("genie", "ort", "litert", "executorch", "llama.cpp"),
    "apple-neural-engine": ("coreai", "coreml", "ort", "executorch"),
    "xdna": ("fastflowlm", "ryzen-ai", "ort"),
    "intel-npu": ("openvino", "ort"),
    "hailo": ("hailo",),
    "rknpu": ("rkllm",),
    "mediatek-apu": ("litert", "executorch"),
    "exynos-npu": ("litert", "executorch"),
    "tensor-tpu": ("litert",),
    "zhouyi": ("ort",),
    "gaudi": ("vllm",),
}


def runtime_names() -> tuple[str, ...]:
    """Return the words for runtimes, in the order of the table."""
    return tuple(_BY_NAME)


def published_runtime(text: str) -> str | None:
    """Return our word for a runtime as a source names it; None: not stated, or one of its own."""
    lower = text.lower()
    if any(word in lower for word in MIXED_WORDS):
        return None
    found = (row.name for row in RUNTIMES if any(_begins(word, lower) for word in row.words))
    return next(found, None)


def _begins(word: str, text: str) -> bool:
    """Whether a word of the text begins so: `not reported` holds no `ort`."""
    return re.search(f"(?<![a-z]){re.escape(word)}", text) is not None


def check_runtime(name: str, family: str, where: str) -> str:
    """Return the runtime if engines of this family have it.

    Raises:
        UsageError: no such word, or the engine has no such runtime.
    """
    if name not in _BY_NAME:
        raise UsageError(
            f"--runtime-of {name!r} is no runtime that we know", fix=suggestion(name, _BY_NAME)
        )
    known = FAMILY_RUNTIMES.get(family, tuple(_BY_NAME))
    if name not in known:
        raise UsageError(
            f"--runtime-of {name}: the {where} has no such runtime",
            fix=f"--runtime-of {', '.join(known)}",
        )
    return name


def file_bits(runtime: str | None, level: QuantLevel) -> tuple[float, float] | None:
    """Return bits of a weight of body and head in the runtime's file; None: as the level says."""
    row = _BY_NAME.get(runtime or "")
    if row is None or level.name not in LEVELS:  # bare bits are taken as they are
        return None
    bits = row.file_bits.get(level.weight_bits)
    if bits == Q4_K_M and level.body.block_weights >= WIDE_BLOCK:
        return Q4_0
    return bits


def static_context_tokens(runtime: str | None, kind: str) -> int:
    """Return the usual context of the runtime's static graphs on an NPU; 0: caches grow."""
    row = _BY_NAME.get(runtime or "")
    return row.context_tokens if row is not None and kind == "npu" else 0
