"""What machine this is, as far as it decides how fast a model runs; nothing that names anyone.

No host name, user name, path, serial number or address is ever read: people share results.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.core.environment import telemetry_is_on
from harness.machine.watch import facts_linux, facts_macos, facts_windows
from harness.machine.watch.cores import usable_cores
from harness.machine.watch.reading import probe_all, without_value
from harness.results.environment import MachineFacts

__all__ = ["machine_facts", "usable_cores"]

Probes = Mapping[str, Callable[[], Any]]

# Packages whose version can move a number; the distribution that carries onnxruntime is one of
# several, and which one it is says which providers there are.
PACKAGES = (
    *("ondevice-bench", "onnx", "numpy", "psutil", "safetensors", "ml-dtypes", "msgspec"),
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-qnn", "onnxruntime-openvino"),
    *("onnxruntime-directml", "onnxruntime-webgpu", "onnxruntime-genai", "llama_cpp_python"),
    *("onnxruntime-ep-webgpu", "onnxruntime-ep-openvino", "onnxruntime-ep-nv-tensorrt-rtx-cu13"),
)

# Every fact that a document carries, on every system; null where this one does not tell.
FACTS = tuple(name for name in MachineFacts.__struct_fields__ if name not in ("unknown", "others"))


def machine_facts(root: Path = Path("/"), system: str = sys.platform) -> MachineFacts:
    """Every fact of FACTS, None where there is none, and why there is none.

    Args:
        root: of the file system that Linux's facts are read from.
        system: a value of sys.platform.
    """
    readings = probe_all({**_common(root), **_of_system(root, system)})
    facts: dict[str, Any] = {
        name: readings[name].value if name in readings else None for name in FACTS
    }
    missing = without_value(readings)
    unknown = {name: missing.get(name, "absent") for name in FACTS if facts[name] is None}
    listed = facts.pop("cpu_vector_extensions")
    extensions = None if listed is None else tuple(listed)
    return MachineFacts(**facts, cpu_vector_extensions=extensions, unknown=unknown)


def _of_system(root: Path, system: str) -> Probes:
    """The probes that one operating system answers."""
    if system.startswith("linux"):
        return facts_linux.probes(root)
    if system == "darwin":
        return facts_macos.probes()
    if system == "win32":
        return facts_windows.probes()
    return {}


def _common(root: Path) -> Probes:
    """The probes that Python or psutil answers on every system."""
    return {
        "cpu_model": lambda: platform.processor() or None,
        "physical_cores": _physical_cores,
        "logical_cores": os.cpu_count,
        "usable_cores": lambda: usable_cores(root),
        "memory_bytes": _memory_bytes,
        "swap_bytes": _swap_bytes,
        "os": platform.system,
        "kernel": platform.release,
        "architecture": platform.machine,
        "on_battery": _on_battery,
        "clock_resolution_ns": lambda: time.get_clock_info("perf_counter").resolution * 1e9,
        "python_version": platform.python_version,
        "python_implementation": platform.python_implementation,
        "packages": _packages,
        "onnxruntime_telemetry": telemetry_is_on,
    }


def _physical_cores() -> int | None:
    """Cores of the whole machine, whether or not this process may use them."""
    import psutil

    cores: int | None = psutil.cpu_count(logical=False)
    return cores


def _memory_bytes() -> int:
    """Memory of the machine."""
    import psutil

    return int(psutil.virtual_memory().total)


def _swap_bytes() -> int:
    """Swap space of the machine."""
    import psutil

    return int(psutil.swap_memory().total)


def _on_battery() -> bool | None:
    """Whether the machine runs from its battery now; None without a battery."""
    import psutil

    battery = psutil.sensors_battery()
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _packages() -> dict[str, str]:
    """Versions of the installed PACKAGES, read without importing them."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
