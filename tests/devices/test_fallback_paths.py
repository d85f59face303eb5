"""Every path on which ONNX Runtime runs on the CPU without a word, and that each is caught.

Those that need a plugin are device tests; each runs in a process of its own.
"""

import ast
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from harness.core.errors import EXIT_DEVICE, DeviceError, WorkerError
from harness.devices.device import Device, find_device
from harness.devices.placement import place
from harness.devices.probe import look_up, probe_device, probe_row
from harness.devices.register import bring_in
from harness.devices.row import ProviderRow, Registration
from harness.devices.session import OpenedSession, open_session
from harness.devices.states import (
    BrokenProviderError,
    FellBackError,
    NotInstalledError,
)
from harness.devices.table import find_row
from harness.machine.process.worker import Worker
from tests.devices.small_graphs import write_contributed, write_relu

PACKAGE = Path(__file__).resolve().parent.parent.parent / "harness"
LONG_S = 120.0


@pytest.fixture
def graph(tmp_path):
    return write_relu(tmp_path / "model.onnx")


@pytest.fixture
def child():
    with Worker.start("tests.devices.device_child") as started:
        yield started


def built_in(provider):
    """A row that names a provider of this build."""
    return Device(ProviderRow("x", "cpu", provider, "some-wheel", "pip install some-wheel"))


def simulated(key):
    return replace(find_device(key), simulate=True).sent()


@pytest.mark.parametrize(
    "provider",
    [
        "FooExecutionProvider",  # unknown
        "DmlExecutionProvider",  # known to every build, compiled into none on Linux
        "QNNExecutionProvider",
        "WebGpuExecutionProvider",
        "CoreMLExecutionProvider",
    ],
)
def test_an_absent_provider_is_refused_by_name(graph, provider):
    """By itself onnxruntime runs on the CPU, with a warning at most."""
    with pytest.raises(NotInstalledError, match=provider) as caught:
        open_session(graph, built_in(provider), threads=1)
    assert caught.value.exit_code == EXIT_DEVICE
    assert caught.value.fix == "pip install some-wheel"


def test_a_provider_that_takes_no_node_is_refused(graph):
    """Azure is in every wheel, runs remotely, and takes no node of a local graph."""
    with pytest.raises(FellBackError, match="nothing ran on"):
        open_session(graph, built_in("AzureExecutionProvider"), threads=1)


def test_a_fallback_that_is_allowed_keeps_its_verdict(graph):
    device = replace(built_in("AzureExecutionProvider"), allow_fallback=True)
    opened = open_session(graph, device, threads=1)
    assert opened.placement.verdict == "FELL_BACK"
    assert opened.placement.fell_off == {"MatMul": 1, "Relu": 1}


def test_a_provider_that_leaves_while_it_runs_is_found():
    """A failed run may build the session again on the CPU; the list of providers then differs."""
    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    device, name = find_device("webgpu"), "WebGpuExecutionProvider"
    placement = place([(name, "MatMul", "n")], name)
    with pytest.raises(FellBackError, match="left the session while it ran"):
        OpenedSession(session, device, 1, True, 1, placement).refuse_changed()


def test_a_session_that_stays_is_no_error(graph):
    open_session(graph, find_device("cpu"), threads=1).refuse_changed()


def test_nobody_asks_for_a_policy():
    """A policy such as PREFER_NPU takes the CPU where there is none, without an error."""
    words = {
        node.attr
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert not {word for word in words if "selection_policy" in word}
    assert "add_provider_for_devices" in words


def test_nobody_believes_a_wait_of_the_providers_own():
    """`synchronize_outputs` returned at once while the device still worked for 9 ms."""
    names = {
        getattr(node, "attr", getattr(node, "id", ""))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not {name for name in names if name.startswith("synchronize")}
    assert "run_with_iobinding" in names


def test_every_session_forbids_the_second_try_on_the_cpu():
    """Of each `InferenceSession(...)` of the package, enable_fallback is 0."""
    calls = [
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "InferenceSession"
    ]
    assert calls
    for call in calls:
        (fallback,) = [word.value for word in call.keywords if word.arg == "enable_fallback"]
        assert ast.literal_eval(fallback) == 0


def test_a_row_that_wants_static_shapes_refuses_a_dynamic_graph(tmp_path):
    graph = write_relu(tmp_path / "model.onnx", rows="batch_size")
    row = replace(find_row("cpu"), key="picky", needs_static=True)
    with pytest.raises(DeviceError, match=r"model\.onnx leaves batch_size open") as caught:
        open_session(graph, Device(row), threads=1)
    assert "webgpu" in caught.value.fix
    assert "qnn" not in caught.value.fix


def test_a_static_graph_is_taken_by_such_a_row(graph):
    row = replace(find_row("cpu"), key="picky", needs_static=True)
    assert open_session(graph, Device(row), threads=1).placement.proven


@pytest.fixture
def no_library(tmp_path, monkeypatch):
    """A plugin row whose package points to a file that is no library."""
    (tmp_path / "fake_plugin.py").write_text(
        "from pathlib import Path\n"
        "def get_library_path(): return str(Path(__file__).with_name('libfake.so'))\n"
    )
    (tmp_path / "libfake.so").write_text("no library at all")
    monkeypatch.syspath_prepend(tmp_path)
    return ProviderRow(
        key="fake",
        kind="gpu",
        provider="FakeExecutionProvider",
        wheel="fake-plugin",
        install="pip install fake-plugin",
        registration=Registration.PLUGIN,
        module="fake_plugin",
    )


def test_a_plugin_that_is_no_library_is_broken_however_often_it_is_tried(no_library, tmp_path):
    for _ in range(2):
        with pytest.raises(
            BrokenProviderError, match=r"libfake\.so cannot be registered"
        ) as caught:
            bring_in(Device(no_library))
        assert str(tmp_path) not in caught.value.problem
        assert caught.value.exit_code == EXIT_DEVICE


def test_a_plugin_that_is_not_there_names_its_command():
    row = replace(find_row("webgpu"), module="no_such_plugin", provider="NoSuchProvider")
    with pytest.raises(NotInstalledError) as caught:
        bring_in(Device(row))
    assert caught.value.fix == "pip install 'ondevice-bench[webgpu]'"
    assert look_up(row, "linux").state == "not installed"
    assert look_up(replace(row, systems=("win32",)), "linux").state == "other system"


def test_the_cpu_is_probed_in_a_child():
    found = probe_row(find_row("cpu"), allow_simulated=False)
    assert (found.state, found.verdict, found.devices) == ("works", "FULL", 1)
    assert found.hardware.version


@pytest.mark.device("openvino-legacy")
@pytest.mark.parametrize("kind", ["AUTO", "FOO", "GPU.9", "NPU"])
def test_an_openvino_device_that_is_not_there_is_refused(child, graph, kind):
    """AUTO and nonsense keep the provider in the session's list, with no node of its own."""
    arguments = {"graph": str(graph), "device": "openvino-legacy", "options": {"device_type": kind}}
    with pytest.raises(WorkerError, match="nothing ran on OpenVINO") as caught:
        child.ask("open_graph", LONG_S, **arguments)
    assert caught.value.exit_code == EXIT_DEVICE


# ---- with the plugins -------------------------------------------------------------------------


@pytest.mark.device("webgpu")
def test_the_placement_tells_what_a_plugin_named_as_built_in_did(child, graph):
    """Up to 1.31 the CPU runs instead, with no exception; later it is the plugin, all of it."""
    found = child.ask(
        "by_name_after_registration", LONG_S, graph=str(graph), device=simulated("webgpu")
    )
    assert (found["verdict"], set(found["nodes"])) in (
        ("FELL_BACK", {"CPUExecutionProvider"}),
        ("FULL", {"WebGpuExecutionProvider"}),
    )


@pytest.mark.device("webgpu")
def test_webgpu_without_an_adapter_does_not_run(graph):
    """Software adapters are allowed, but no driver brings one: an error, and no number."""
    environment = {"ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1", "VK_ICD_FILENAMES": "/none"}
    arguments = {"graph": str(graph), "device": simulated("webgpu"), "row": {"simulation": None}}
    with (
        Worker.start("tests.devices.device_child", env=environment) as child,
        pytest.raises(WorkerError, match="adapter") as caught,
    ):
        child.ask("open_graph", LONG_S, **arguments)
    assert caught.value.exit_code == EXIT_DEVICE


@pytest.mark.device("webgpu")
def test_a_simulation_is_never_taken_for_the_device(monkeypatch):
    """Where it is not allowed, the switch that a shell has set is taken away."""
    monkeypatch.setenv("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "1")
    found = probe_device(find_device("webgpu"))
    assert found.state == "no hardware"
    assert "--allow-simulated" in found.fix


@pytest.mark.device("webgpu")
def test_a_library_is_registered_once_however_often_it_is_asked_for(child, graph):
    """A second registration would raise, and the next session crash the process."""
    reply = child.ask("twice", LONG_S, graph=str(graph), device=simulated("webgpu"))
    assert reply["placement"]["verdict"] == "FULL"
    assert reply["answer"] == [[2, 0, 6]]


@pytest.mark.device("webgpu")
def test_an_index_beyond_the_devices_is_refused():
    found = probe_device(replace(find_device("webgpu:7"), simulate=True))
    assert found.state == "fewer devices"
    assert "has 1 device here; there is no webgpu:7" in found.problem


@pytest.mark.device("qnn")
@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({}, {"backend_path": "libNoSuchBackend.so"}),
        ({"defaults": [["backend_type", "cpu"]]}, {}),  # its library is in no wheel
        ({"defaults": [["backend_type", "gpu"]]}, {}),
    ],
)
def test_qnn_on_a_backend_that_is_not_there_is_refused(child, graph, row, options):
    """The session comes up, lists QNN as its first provider, and gives it no node."""
    row = {**row, "defaults": row.get("defaults", [])}
    with pytest.raises(WorkerError, match=r"nothing ran on QNN|cannot open") as caught:
        child.ask(
            "open_graph",
            LONG_S,
            graph=str(graph),
            device=simulated("qnn"),
            row=row,
            options=options,
        )
    assert caught.value.exit_code == EXIT_DEVICE


@pytest.mark.device("qnn")
@pytest.mark.parametrize(
    ("needs_static", "problem"), [(True, "needs static shapes"), (False, "nothing ran on QNN")]
)
def test_qnn_with_free_dimensions_is_refused(child, tmp_path, needs_static, problem):
    """Before the session by our rule; and without the rule by the placement."""
    graph = write_relu(tmp_path / "model.onnx", rows="batch_size")
    with pytest.raises(WorkerError, match=problem):
        child.ask(
            "open_graph",
            LONG_S,
            graph=str(graph),
            device=simulated("qnn"),
            row={"needs_static": needs_static},
        )


@pytest.mark.device("qnn")
def test_arithmetic_that_an_npu_leaves_to_the_cpu_is_refused_by_operator(child, tmp_path):
    graph = write_contributed(tmp_path / "model.onnx")
    with pytest.raises(WorkerError, match=r"left operators to others: 1 MatMulNBits \(PARTIAL\)"):
        child.ask("open_graph", LONG_S, graph=str(graph), device=simulated("qnn"))


@pytest.mark.device("qnn")
def test_such_a_row_is_kept_where_that_is_allowed(child, tmp_path):
    device = structs.replace(simulated("qnn"), allow_fallback=True)
    graph = write_contributed(tmp_path / "model.onnx")
    placement = child.ask("open_graph", LONG_S, graph=str(graph), device=device)["placement"]
    assert placement["verdict"] == "PARTIAL"
    assert placement["fell_off"] == {"MatMulNBits": 1}
    assert placement["switches"] == 1


@pytest.mark.device("qnn")
def test_the_probe_graph_runs_in_full_on_the_emulated_npu():
    found = probe_row(find_row("qnn"), allow_simulated=True)
    assert (found.state, found.verdict) == ("simulated", "FULL")
    assert found.hardware.simulated is True
    assert found.hardware.options["backend_type"] == "htp"
