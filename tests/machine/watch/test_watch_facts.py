"""Facts of this machine and of fake ones; and that they name nobody and nothing."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.machine.watch import facts_linux, facts_macos, facts_windows
from harness.machine.watch.cores import (
    fastest_processors,
    one_per_core,
    physical_cores,
    usable_cores,
    usable_processors,
)
from harness.machine.watch.facts import FACTS, machine_facts
from harness.machine.watch.reading import State, probe, probe_all, without_value
from harness.results.environment import MachineFacts
from tests.machine.watch.fake_machine import FILES, write

X86 = """processor\t: 0
model name\t: Some   CPU @ 2.00GHz
flags\t\t: fpu avx2 avx512_vnni amx_int8 hypervisor sse
processor\t: 1
model name\t: another
"""
ARM = """processor : 0
Features  : fp asimd asimddp i8mm sve
CPU implementer : 0x41
CPU part  : 0xd0b
"""


def test_every_fact_is_a_value_or_says_why_not():
    facts = machine_facts()
    assert facts.unknown.keys() == {name for name in FACTS if getattr(facts, name) is None}
    assert set(facts.unknown.values()) <= {"absent", "denied"}
    assert facts.usable_cores >= 1
    assert facts.memory_bytes > 2**20
    assert facts.packages["msgspec"]


def test_facts_are_json():
    table = json.dumps(msgspec.to_builtins(machine_facts()), allow_nan=False)
    assert msgspec.json.decode(table, type=MachineFacts) == machine_facts()


def test_facts_name_no_person_host_or_path(monkeypatch, tmp_path):
    """Host and user names that can be told apart, and the folders of this process."""
    monkeypatch.setattr("socket.gethostname", lambda: "host-of-jane")
    monkeypatch.setattr("platform.node", lambda: "host-of-jane")
    monkeypatch.setenv("USER", "jane-doe")
    monkeypatch.chdir(tmp_path)
    text = json.dumps(msgspec.to_builtins(machine_facts()))
    here = {"host-of-jane", "jane-doe", str(Path.home()), str(tmp_path), sys.prefix}
    assert [word for word in here if len(word) > 1 and word in text] == []


def test_the_hosts_real_name_is_no_fact():
    values = {
        str(value)
        for value in msgspec.structs.asdict(machine_facts()).values()
        if value is not None
    }
    assert socket.gethostname() not in values


def test_facts_load_neither_numpy_nor_onnxruntime():
    script = (
        "import sys\nfrom harness.machine.watch.facts import machine_facts\nmachine_facts()\n"
        "print([name for name in ('numpy', 'onnxruntime', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_x86_linux_from_a_fake_root(tmp_path):
    cpu = "sys/devices/system/cpu"
    root = write(
        tmp_path,
        {
            **FILES,
            "proc/cpuinfo": X86,
            "proc/meminfo": "MemTotal:  2048 kB\nSwapTotal: 4 kB\n",
            "etc/os-release": 'NAME=x\nPRETTY_NAME="Some Linux 9"\n',
            f"{cpu}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{cpu}/intel_pstate/no_turbo": "0\n",
            "proc/1/cgroup": "0::/kubepods/pod1\n",
            "sys/fs/cgroup/cpu.max": "250000 100000\n",
            "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n",
        },
    )
    facts = machine_facts(root, system="linux")
    assert facts.cpu_model == "Some CPU @ 2.00GHz"
    assert facts.cpu_vector_extensions == ("avx2", "avx512_vnni", "amx_int8")
    assert facts.memory_bytes == 2 * 2**20
    assert facts.swap_bytes == 4096
    assert facts.os == "Some Linux 9"
    assert (facts.governor, facts.turbo) == ("powersave", True)
    assert (facts.virtual_machine, facts.container) == (True, True)
    assert facts.container_cpu_cores == 2.5
    assert facts.clock_source == "hpet"
    assert facts.unknown["container_memory_bytes"] == "absent"


def test_arm_linux_from_a_fake_root(tmp_path):
    """No model name in /proc/cpuinfo: the maker's numbers, or the board's name where it has one."""
    root = write(tmp_path, {"proc/cpuinfo": ARM, "sys/class/dmi/id/sys_vendor": "QEMU\n"})
    assert facts_linux.cpu_model(root) == "ARM implementer 0x41 part 0xd0b"
    assert facts_linux.vector_extensions(root) == ["asimd", "asimddp", "i8mm", "sve"]
    assert facts_linux.virtual_machine(root) is True
    write(tmp_path, {"proc/device-tree/model": "Board 5 Model B\0"})
    assert facts_linux.cpu_model(root) == "Board 5 Model B"


def test_a_machine_that_tells_nothing_still_has_facts(tmp_path):
    """An empty root: what Linux does not say is absent, and nothing fails."""
    facts = machine_facts(tmp_path, system="linux")
    assert facts.governor is None
    assert facts.unknown["governor"] == "absent"
    assert facts.unknown["cpu_vector_extensions"] == "absent"
    assert facts.python_version


def test_a_system_nobody_thought_of_still_has_facts():
    facts = machine_facts(system="plan9")
    assert facts.unknown["governor"] == "absent"
    assert facts.logical_cores == os.cpu_count()


def test_a_refused_file_is_denied():
    def refuse() -> None:
        raise PermissionError("no")

    class AccessDenied(Exception):  # noqa: N818 - the name that psutil uses
        """As psutil names it."""

    def refuse_like_psutil() -> None:
        raise AccessDenied

    readings = probe_all({"a": refuse, "b": refuse_like_psutil, "c": lambda: None, "d": lambda: 0})
    assert without_value(readings) == {"a": "denied", "b": "denied", "c": "absent"}
    assert readings["d"].value == 0


def test_a_garbled_probe_is_absent():
    assert probe(lambda: int("garbage")).state is State.ABSENT


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 99), ("150000 100000", 1), ("50000 100000", 1)]
)
def test_usable_cores_are_affinity_cut_by_the_quota(tmp_path, quota, cores):
    """1.5 processors' worth of time is one core; half a one is still one thread."""
    files = {f"{number}": number for number in usable_processors()}
    topology = "sys/devices/system/cpu/cpu{}/topology/{}"
    root = write(tmp_path, {**FILES, "sys/fs/cgroup/cpu.max": quota})
    for number in files:
        write(root, {topology.format(number, "core_id"): f"{number}"})
        write(root, {topology.format(number, "physical_package_id"): "0"})
    assert usable_cores(root) == min(cores, len(usable_processors()))


@pytest.mark.parametrize(
    ("file", "speeds", "fast"),
    [
        ("cpu_capacity", [430, 430, 1024, 1024], {2, 3}),
        ("cpufreq/cpuinfo_max_freq", [5_100_000, 5_000_000, 3_800_000, 3_800_000], {0, 1}),
        ("cpufreq/cpuinfo_max_freq", [5_200_000, 5_000_000, 5_000_000, 5_000_000], None),
        ("cpufreq/cpuinfo_max_freq", [5_000_000, 3_000_000, None, 3_000_000], None),
        ("cpu_capacity", ["", "x", "1024", "1"], None),
    ],
)
def test_cores_of_the_fastest_kind(tmp_path, file, speeds, fast):
    """A few per cent more of a favoured core is no other kind; what is not told of all is none."""
    for number, speed in enumerate(speeds):
        if speed is not None:
            write(tmp_path, {f"sys/devices/system/cpu/cpu{number}/{file}": f"{speed}"})
    assert fastest_processors(frozenset(range(4)), tmp_path) == (fast and frozenset(fast))


def test_two_threads_of_one_core_are_one_core(tmp_path):
    """Processors 0-3: cores 0, 1, 0 of package 0, and core 0 of package 1."""
    for number, (package, core) in enumerate([(0, 0), (0, 1), (0, 0), (1, 0)]):
        folder = f"sys/devices/system/cpu/cpu{number}/topology"
        write(tmp_path, {f"{folder}/core_id": f"{core}"})
        write(tmp_path, {f"{folder}/physical_package_id": f"{package}"})
    assert physical_cores(frozenset(range(4)), tmp_path) == 3
    assert physical_cores(frozenset({0, 2}), tmp_path) == 1
    assert one_per_core(frozenset(range(4)), tmp_path) == (0, 1, 3)


# Boards as Linux shows them: number of the core, who shares it, package and cluster of each CPU.
BOARDS = {
    "clusters that count anew": (
        8,
        [0, 1, 2, 3, 0, 1, 0, 1],
        None,
        [0] * 8,
        [0] * 4 + [1, 1, 2, 2],
    ),
    "sockets of clusters": (16, [0, 1, 2, 3] * 4, None, [0] * 8 + [1] * 8, ([0] * 4 + [1] * 4) * 2),
    "two threads a core": (2, [0, 1, 0, 1], ["0,2", "1,3"] * 2, [0] * 4, [0] * 4),
    "ranges": (2, [0, 0, 1, 1], ["0-1", "0-1", "2-3", "2-3"], [0] * 4, [0] * 4),
    "sockets": (4, [0, 1, 0, 1], None, [0, 0, 1, 1], [0] * 4),
    "no package": (4, [0, 1, 2, 3], None, [-1] * 4, [0] * 4),
}


@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list", "core_cpus"])
@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_cores_are_told_by_who_shares_them(tmp_path, board, name):
    """Numbers of cores repeat from cluster to cluster; lists of who shares a core do not."""
    cores, core_ids, shared, packages, clusters = board
    shared = shared or [str(number) for number in range(len(core_ids))]
    for number, core in enumerate(core_ids):
        folder = f"sys/devices/system/cpu/cpu{number}/topology"
        write(tmp_path, {f"{folder}/core_id": f"{core}", f"{folder}/{name}": shared[number]})
        write(tmp_path, {f"{folder}/physical_package_id": f"{packages[number]}"})
        write(tmp_path, {f"{folder}/cluster_id": f"{clusters[number]}"})
    processors = frozenset(range(len(core_ids)))
    assert physical_cores(processors, tmp_path) == cores
    assert len(one_per_core(processors, tmp_path)) == cores
    assert {shared[number] for number in one_per_core(processors, tmp_path)} == set(shared)


def test_every_processor_counts_as_a_core_where_the_system_tells_none(tmp_path):
    assert one_per_core(frozenset({5, 2}), tmp_path) == (2, 5)


def test_usable_cores_of_this_machine():
    assert 1 <= usable_cores() <= len(usable_processors())


def test_macos_answers_through_sysctl():
    """As an M-series machine answers; a name it lacks is missing from the output."""
    answers = {
        ("sysctl", "-n", "machdep.cpu.brand_string"): "Apple M4",
        ("sysctl", "-n", "kern.hv_vmm_present"): "0",
        ("pmset", "-g"): "System-wide power settings:\n lowpowermode         1\n",
    }

    def run(*command: str) -> str:
        if command[:2] == ("sysctl", "-i"):
            return "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 1\nx.y: 0"
        return answers[command]

    found = {name: reading.value for name, reading in probe_all(facts_macos.probes(run)).items()}
    assert found["cpu_model"] == "Apple M4"
    assert found["cpu_vector_extensions"] == ["asimddp", "i8mm"]
    assert found["governor"] == "low power"
    assert found["virtual_machine"] is False


def test_windows_answers_through_registry_and_powercfg():
    """A scheme that was made on the machine may carry a name: only `custom` is kept."""
    values = {
        "ProcessorNameString": "Snapdragon(R)  X Elite  ",
        "SystemManufacturer": "QEMU",
        "SystemProductName": "Standard PC",
    }
    scheme = "Power Scheme GUID: {}  (Jane's own)"

    def found(guid: str) -> dict[str, object]:
        probes = facts_windows.probes(
            run=lambda *command: scheme.format(guid), registry=lambda key, name: values[name]
        )
        return {name: reading.value for name, reading in probe_all(probes).items()}

    assert found("381B4222-F694-41F0-9685-FF5BB260DF2E")["governor"] == "balanced"
    assert found("00000000-0000-0000-0000-000000000000")["governor"] == "custom"
    assert found("")["cpu_model"] == "Snapdragon(R) X Elite"
    assert found("")["virtual_machine"] is True


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_another_systems_probes_fail_softly_here(system):
    """On a machine without sysctl, pmset or a registry every one of them is absent."""
    facts = machine_facts(system=system)
    assert facts.unknown.keys() == {name for name in FACTS if getattr(facts, name) is None}
