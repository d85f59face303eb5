"""Facts that Windows tells through the registry, powercfg and kernel32, without special rights."""

import platform
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from harness.machine.watch.facts_macos import run_command

PROCESSOR_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
BIOS_KEY = r"HARDWARE\DESCRIPTION\System\BIOS"
# Arguments of IsProcessorFeaturePresent (winnt.h) -> the word that Linux uses.
FEATURES = {39: "avx", 40: "avx2", 41: "avx512f", 43: "asimddp", 46: "sve"}
# The schemes that Windows ships; another one may carry a person's name and is only `custom`.
SCHEMES = {
    "381b4222-f694-41f0-9685-ff5bb260df2e": "balanced",
    "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c": "high performance",
    "a1841308-3541-4fab-bc81-f71556f20b4a": "power saver",
    "e9a42b02-d5df-448d-aa00-03f14749eb61": "ultimate performance",
}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Run = Callable[..., str]
Registry = Callable[[str, str], str]


def registry_value(key: str, name: str) -> str:
    """One text under HKEY_LOCAL_MACHINE.

    Raises:
        OSError: there is none, or this is not Windows.
    """
    if sys.platform != "win32":
        raise FileNotFoundError(key)
    import winreg

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as handle:
        return str(winreg.QueryValueEx(handle, name)[0])


def probes(
    run: Run = run_command, registry: Registry = registry_value
) -> Mapping[str, Callable[[], Any]]:
    """Answers of Windows, by the name of the fact."""
    return {
        "cpu_model": lambda: " ".join(registry(PROCESSOR_KEY, "ProcessorNameString").split()),
        "cpu_vector_extensions": vector_extensions,
        "os": lambda: f"Windows {platform.win32_ver()[1]}",
        "governor": lambda: power_scheme(run),
        "virtual_machine": lambda: virtual_machine(registry),
        "clock_source": lambda: "QueryPerformanceCounter",
    }


def vector_extensions() -> list[str]:
    """Extensions that kernel32 knows by number; VNNI and i8mm have none that is documented.

    Raises:
        OSError: this is not Windows.
    """
    if sys.platform != "win32":
        raise FileNotFoundError("kernel32")
    import ctypes

    present = ctypes.windll.kernel32.IsProcessorFeaturePresent
    return [word for number, word in FEATURES.items() if present(number)]


def power_scheme(run: Run) -> str:
    """The active power scheme by its fixed identifier; `custom` for one made on this machine."""
    found = GUID.search(run("powercfg", "/getactivescheme"))
    return SCHEMES.get(found.group().lower() if found else "", "custom")


def virtual_machine(registry: Registry) -> bool:
    """Whether the firmware names a hypervisor as the machine."""
    words = ("virtual", "vmware", "qemu", "kvm", "xen", "parallels", "google compute")
    name = f"{registry(BIOS_KEY, 'SystemManufacturer')} {registry(BIOS_KEY, 'SystemProductName')}"
    return any(word in name.lower() for word in words)
