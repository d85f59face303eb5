"""Measure small quantized ONNX language models on your own device, beside what was predicted.

    harness.build("smollm2-135m", "int4")            -> folder with the ONNX graphs
    harness.load("smollm2-135m", level="int4")       -> a model to call: logits, prefill, step
    harness.run(model="smollm2-135m", quant="int4")  -> the results document as typed records
    harness.judge(document, "decode>=20")            -> which records keep to limits, and why not
    harness.fit(model="bytelm", require="decode>=1000")  -> which level and thread count does
    harness.estimate("llama-3.2-1b", "int4", device="raspberry-pi-5")  -> predicted, not run

What they return and raise can be named too: `harness.Document`, `harness.UsageError`.
Importing this package loads neither numpy nor onnxruntime; the functions do when needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import *  # noqa: F403  # its __all__ is the one list of public names

    __version__: str
else:  # a checker would take any name for public

    def __getattr__(name: str) -> Any:
        """Import a public name on first use."""
        if name == "__version__":
            from harness.core.version import installed_version

            return installed_version()
        if name.startswith("__") and name != "__all__":  # asked of every module by many tools
            raise AttributeError(f"module 'harness' has no attribute {name!r}")
        api = import_module("harness.api")
        if name == "__all__":
            return sorted((*api.__all__, "__version__"))
        if name in api.__all__:
            return getattr(api, name)
        raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *import_module("harness.api").__all__, "__version__"})
