"""Which providers there are: every row of this package, then those of other packages.

Another package adds rows by an entry point in the group `bench.providers`: a ProviderRow, or a
callable that gives one or several. What reads them is imported there: measuring workers, whose
memory counts, find our own rows without it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.core.errors import UsageError, suggestion
from harness.devices.row import KINDS, ProviderRow
from harness.devices.rows.cpu import CPU
from harness.devices.rows.gpu import CUDA, DIRECTML, MIGRAPHX, TENSORRT, TENSORRT_RTX, WEBGPU
from harness.devices.rows.npu import (
    COREML_GPU,
    COREML_NPU,
    OPENVINO_CPU,
    OPENVINO_GPU,
    OPENVINO_LEGACY,
    OPENVINO_NPU,
    QNN,
    QNN_GPU,
    VITISAI,
)
from harness.devices.rows.windows import CATALOG

if TYPE_CHECKING:
    from importlib import metadata

ENTRY_POINTS = "bench.providers"

# Of each class the first row that works is taken, so the order is a preference.
ROWS: tuple[ProviderRow, ...] = (
    *(CPU, OPENVINO_CPU, OPENVINO_LEGACY),
    *(CUDA, TENSORRT, TENSORRT_RTX, COREML_GPU, DIRECTML, MIGRAPHX, OPENVINO_GPU, QNN_GPU, WEBGPU),
    *(QNN, OPENVINO_NPU, VITISAI, COREML_NPU),
    *CATALOG,
)


def all_rows() -> tuple[ProviderRow, ...]:
    """Every row, those of other packages last.

    Raises:
        UsageError: another package's rows cannot be read, or take a key that is in use.
    """
    from importlib import metadata

    found = list(ROWS)
    for point in metadata.entry_points(group=ENTRY_POINTS):
        for row in _rows_of(point):
            if row.key in {known.key for known in found}:
                raise UsageError(
                    f"the entry point {point.value} brings a second row {row.key!r}",
                    fix=f"pip uninstall {point.dist.name if point.dist else 'its package'}",
                )
            found.append(row)
    return tuple(found)


def find_row(key: str) -> ProviderRow:
    """Return the row of a key; those of other packages are read only if ours has none.

    Raises:
        UsageError: no row has this key.
    """
    row = next((row for row in ROWS if row.key == key), None)
    row = row or next((row for row in all_rows() if row.key == key), None)
    if row is None:
        known = [row.key for row in all_rows()]
        words = (*KINDS, "auto", *known)
        raise UsageError(f"no device is called {key!r}", fix=suggestion(key, words))
    return row


def _rows_of(point: "metadata.EntryPoint") -> Iterable[ProviderRow]:
    """The rows of one entry point; what it does wrong is named, whatever it is."""
    try:
        value = point.load()
        value = value() if callable(value) else value
        rows = (value,) if isinstance(value, ProviderRow) else tuple(value)
        if not all(isinstance(row, ProviderRow) for row in rows):
            raise TypeError("it gives something that is no ProviderRow")
    except Exception as error:  # code of others: anything may happen
        raise UsageError(
            f"the entry point {point.value} of {ENTRY_POINTS} cannot be used: {error}",
            fix=f"pip uninstall {point.dist.name if point.dist else 'its package'}, or repair it",
        ) from error
    return rows
