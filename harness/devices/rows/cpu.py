"""Rows of the processor itself."""

from harness.devices.row import ProviderRow

CPU = ProviderRow("cpu", "cpu", "CPUExecutionProvider", "onnxruntime", "pip install onnxruntime")
