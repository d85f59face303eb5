"""Rows of the catalog that Windows 11 keeps: the same providers, brought by the system."""

from dataclasses import replace

from harness.devices.row import ProviderRow, Registration
from harness.devices.rows.gpu import MIGRAPHX, TENSORRT_RTX
from harness.devices.rows.npu import OPENVINO_GPU, OPENVINO_NPU, QNN, VITISAI


def _from_catalog(row: ProviderRow) -> ProviderRow:
    """The same row with its library from Windows ML; never simulated."""
    return replace(
        row,
        key=f"winml-{row.key}",
        wheel="windowsml",
        install="pip install 'windowsml[with-ort]' (Windows 11 24H2 or newer)",
        systems=("win32",),
        registration=Registration.CATALOG,
        module="windowsml",
        context=False,
        simulation=None,
    )


CATALOG = tuple(
    _from_catalog(row) for row in (QNN, OPENVINO_NPU, VITISAI, TENSORRT_RTX, MIGRAPHX, OPENVINO_GPU)
)
