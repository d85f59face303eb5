"""Facts that macOS tells through sysctl and pmset, both without special rights."""

import platform
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from harness.core.environment import child_variables

COMMAND_TIMEOUT_S = 5.0
# sysctl name -> the word that Linux uses for the same instructions.
ARM_FEATURES = {
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.arm.FEAT_SME2": "sme2",
}
X86_FEATURES = {
    "hw.optional.avx1_0": "avx",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.fma": "fma",
    "hw.optional.f16c": "f16c",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512vnni": "avx512_vnni",
}

Run = Callable[..., str]


def run_command(*command: str) -> str:
    """Output of a short system command, stripped.

    Raises:
        OSError: there is no such command.
        subprocess.SubprocessError: it failed or hung.
    """
    done = subprocess.run(
        command,
        env=child_variables(),
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    return done.stdout.strip()


def probes(run: Run = run_command) -> Mapping[str, Callable[[], Any]]:
    """Answers of macOS, by the name of the fact; there are no control groups and no governor."""
    return {
        "cpu_model": lambda: run("sysctl", "-n", "machdep.cpu.brand_string"),
        "cpu_vector_extensions": lambda: vector_extensions(run),
        "os": lambda: f"macOS {platform.mac_ver()[0]}",
        "governor": lambda: power_mode(run),
        "virtual_machine": lambda: run("sysctl", "-n", "kern.hv_vmm_present") == "1",
        "container": lambda: False,
        "clock_source": lambda: "mach_absolute_time",
    }


def vector_extensions(run: Run) -> list[str]:
    """Extensions whose sysctl is 1, in one call; a name that this machine lacks is left out."""
    lines = run("sysctl", "-i", *ARM_FEATURES, *X86_FEATURES).splitlines()
    present = {line.partition(":")[0] for line in lines if line.endswith(": 1")}
    return [word for name, word in {**ARM_FEATURES, **X86_FEATURES}.items() if name in present]


def power_mode(run: Run) -> str | None:
    """`low power`, `high power` or `automatic`, from `pmset -g`; None on machines without modes."""
    modes = {"0": "automatic", "1": "low power", "2": "high power"}
    for line in run("pmset", "-g").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] in ("powermode", "lowpowermode"):
            return modes.get(words[1])
    return None
