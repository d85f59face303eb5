"""Measure small quantized ONNX language models on your own device, beside what was predicted.

    harness.build("smollm2-135m", "int4")            -> folder with the ONNX graphs
    harness.load("smollm2-135m", level="int4")       -> a model to call: logits, prefill, step
    harness.run(model="smollm2-135m", quant="int4")  -> the results document as typed records
    harness.estimate("llama-3.2-1b", "int4", device="raspberry-pi-5")  -> predicted, not run

What they return and raise can be named too: `harness.Document`, `harness.UsageError`.
Importing this package loads neither numpy nor onnxruntime; the functions do when needed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import (
        Cell,
        DeviceError,
        Document,
        Estimate,
        HarnessError,
        LoadedEncoder,
        LoadedModel,
        MeasurementError,
        Metric,
        ModelError,
        Placement,
        Reason,
        Record,
        ResultFormatError,
        RunFlags,
        StorageError,
        Trust,
        UsageError,
        WorkerError,
        build,
        estimate,
        load,
        run,
    )

    __version__: str

__all__ = [
    "Cell",
    "DeviceError",
    "Document",
    "Estimate",
    "HarnessError",
    "LoadedEncoder",
    "LoadedModel",
    "MeasurementError",
    "Metric",
    "ModelError",
    "Placement",
    "Reason",
    "Record",
    "ResultFormatError",
    "RunFlags",
    "StorageError",
    "Trust",
    "UsageError",
    "WorkerError",
    "__version__",
    "build",
    "estimate",
    "load",
    "run",
]


if not TYPE_CHECKING:  # a checker would take any name for public

    def __getattr__(name: str) -> Any:
        """Import a public name on first use."""
        if name == "__version__":
            from harness.core.version import installed_version

            return installed_version()
        if name in __all__:
            from harness import api

            return getattr(api, name)
        raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
