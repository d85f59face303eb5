"""The machine of a run, and the hardware peaks that were measured on it, as documents keep them."""

from typing import Any

import msgspec

from harness.results.calibration import StoredConstants
from harness.results.replies import MemoryRead


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What machine this is, as far as it decides how fast a model runs; null: nothing tells.

    Attributes:
        cpu_model: name of the processor.
        cpu_vector_extensions: that kernels may use, by Linux's words for them.
        physical_cores: of the whole machine.
        logical_cores: likewise.
        usable_cores: physical ones that this process may use.
        memory_bytes: of the machine.
        swap_bytes: likewise.
        os: the system and its version.
        kernel: its release.
        architecture: of the processor, such as `x86_64`.
        governor: what chooses the clock's frequency; on macOS and Windows the mode of power.
        turbo: whether frequencies above the nominal one are allowed.
        on_battery: whether the machine ran from its battery.
        virtual_machine: whether it is one.
        container: whether the process ran in one.
        container_cpu_cores: most that its quota allows.
        container_memory_bytes: likewise.
        clock_source: of the kernel's clock.
        clock_resolution_ns: one tick of the clock that timed.
        python_version: of the interpreter that asked.
        python_implementation: such as `CPython`.
        packages: versions of those that can move a number, by distribution.
        onnxruntime_telemetry: whether onnxruntime kept and sent events while it was measured; null
            in documents older than the question.
        unknown: each fact that nothing tells -> `absent` or `denied`.
        others: keys that this version does not know. In the file they stand among the rest.
    """

    cpu_model: str | None = None
    cpu_vector_extensions: tuple[str, ...] | None = None
    physical_cores: int | None = None
    logical_cores: int | None = None
    usable_cores: int | None = None
    memory_bytes: int | None = None
    swap_bytes: int | None = None
    os: str | None = None
    kernel: str | None = None
    architecture: str | None = None
    governor: str | None = None
    turbo: bool | None = None
    on_battery: bool | None = None
    virtual_machine: bool | None = None
    container: bool | None = None
    container_cpu_cores: float | None = None
    container_memory_bytes: int | None = None
    clock_source: str | None = None
    clock_resolution_ns: float | None = None
    python_version: str | None = None
    python_implementation: str | None = None
    packages: dict[str, str] | None = None
    onnxruntime_telemetry: bool | None = None
    unknown: dict[str, str] = {}
    others: dict[str, Any] = {}


class ReadBandwidth(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a run read memory with one number of threads.

    Attributes:
        threads: that read.
        bytes_per_s: median over processes of each one's median pass; null: none answered.
        processes: what each of them said.
    """

    threads: int
    bytes_per_s: float | None = None
    processes: tuple[MemoryRead, ...] = ()


class NoCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """Why a device was not calibrated.

    Attributes:
        device: row of the device table.
        threads: intra-op threads.
        reason: what went wrong.
    """

    device: str
    threads: int
    reason: str


class Environment(MachineFacts, frozen=True, kw_only=True):
    """The machine of a run, and its hardware peaks.

    Attributes:
        read_bandwidth: the peak of the simple estimates, by number of threads.
        read_bandwidth_failures: threads -> why memory could not be read.
        calibration: the constants of the calibrated estimates, each with its interval.
        calibration_failures: why there are none of a device.
    """

    read_bandwidth: tuple[ReadBandwidth, ...] = ()
    read_bandwidth_failures: dict[str, str] = {}
    calibration: tuple[StoredConstants, ...] = ()
    calibration_failures: tuple[NoCalibration, ...] = ()
