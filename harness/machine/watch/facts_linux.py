"""Facts that Linux tells through /proc and /sys, under any root, so that tests can fake them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.units import KIB
from harness.machine.watch.cgroup import cpu_quota_cores, memory_limit_bytes
from harness.machine.watch.reading import text_of

# Flags that decide which kernels ONNX Runtime's math library takes: dot products of bytes,
# bfloat16 and float16, matrix tiles, scalable vectors.
VECTOR_EXTENSIONS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8", "avx512f", "avx512_vnni"),
    *("avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "svei8mm", "svebf16"),
    *("sme", "sme2"),
)
CONTAINER_MARKS = (".dockerenv", "run/.containerenv")
CONTAINER_WORDS = ("docker", "kubepods", "containerd", "lxc", "podman")
VIRTUAL_VENDORS = ("qemu", "vmware", "xen", "innotek", "parallels", "amazon ec2", "google")
CPU = "sys/devices/system/cpu"
CPUINFO = "proc/cpuinfo"


def probes(root: Path) -> Mapping[str, Callable[[], Any]]:
    """Linux's own answers, by the name of the fact."""
    return {
        "cpu_model": lambda: cpu_model(root),
        "cpu_vector_extensions": lambda: vector_extensions(root),
        "memory_bytes": lambda: _meminfo(root, "MemTotal"),
        "swap_bytes": lambda: _meminfo(root, "SwapTotal"),
        "os": lambda: _os_release(root),
        "governor": lambda: text_of(root / CPU / "cpu0/cpufreq/scaling_governor"),
        "turbo": lambda: turbo(root),
        "virtual_machine": lambda: virtual_machine(root),
        "container": lambda: container(root),
        "container_cpu_cores": lambda: cpu_quota_cores(root),
        "container_memory_bytes": lambda: memory_limit_bytes(root),
        "clock_source": lambda: text_of(
            root / "sys/devices/system/clocksource/clocksource0/current_clocksource"
        ),
    }


def cpu_model(root: Path) -> str | None:
    """The processor's own name; on ARM the board's, or the numbers of maker and part."""
    info = _cpuinfo(root)
    for name in ("model name", "Hardware", "cpu model", "uarch"):
        if info.get(name):
            return " ".join(info[name].split())
    board = root / "proc/device-tree/model"
    if board.is_file():
        return text_of(board)
    if "CPU implementer" in info:
        return f"ARM implementer {info['CPU implementer']} part {info.get('CPU part', '?')}"
    return None


def vector_extensions(root: Path) -> list[str] | None:
    """Those of VECTOR_EXTENSIONS that the first processor has; None where none are listed."""
    info = _cpuinfo(root)
    listed = info.get("flags") or info.get("Features")
    if listed is None:
        return None
    flags = set(listed.split())
    return [name for name in VECTOR_EXTENSIONS if name in flags]


def turbo(root: Path) -> bool | None:
    """Whether the processor may leave its base frequency."""
    no_turbo, boost = root / CPU / "intel_pstate/no_turbo", root / CPU / "cpufreq/boost"
    if no_turbo.is_file():
        return text_of(no_turbo) == "0"
    return text_of(boost) == "1"


def virtual_machine(root: Path) -> bool | None:
    """Whether a hypervisor runs this system; None where nothing tells."""
    if "hypervisor" in _cpuinfo(root).get("flags", "").split():
        return True
    vendor = root / "sys/class/dmi/id/sys_vendor"
    if vendor.is_file():
        return any(word in text_of(vendor).lower() for word in VIRTUAL_VENDORS)
    return False if "flags" in _cpuinfo(root) else None


def container(root: Path) -> bool:
    """Whether this process runs inside a container."""
    if any((root / mark).exists() for mark in CONTAINER_MARKS):
        return True
    groups = text_of(root / "proc/1/cgroup")
    return any(word in groups for word in CONTAINER_WORDS)


def _cpuinfo(root: Path) -> dict[str, str]:
    """Fields of /proc/cpuinfo: the first processor's, and what stands there once."""
    fields: dict[str, str] = {}
    for line in text_of(root / CPUINFO).splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip(), value.strip())
    return fields


def _meminfo(root: Path, name: str) -> int | None:
    """One line of /proc/meminfo, bytes."""
    for line in text_of(root / "proc/meminfo").splitlines():
        key, _, rest = line.partition(":")
        if key == name:
            return int(rest.split()[0]) * KIB
    return None


def _os_release(root: Path) -> str | None:
    """The distribution's full name."""
    for line in text_of(root / "etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip("\"'")
    return None
