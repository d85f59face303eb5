"""Measure small quantized ONNX language models on your own device, beside what was predicted.

    harness.build("smollm2-135m", "int4")            -> folder with the ONNX graphs
    harness.load("smollm2-135m", level="int4")       -> a model to call: logits, prefill, step
    harness.run(model="smollm2-135m", quant="int4")  -> the results document as typed records

Importing this package loads neither numpy nor onnxruntime; the three functions do when needed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import build, load, run

__all__ = ["build", "load", "run"]


def __getattr__(name: str) -> Any:
    """Import the public functions on first use."""
    if name in __all__:
        from harness import api

        return getattr(api, name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
