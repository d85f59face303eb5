"""Every path on which onnxruntime runs on the CPU without a word, and what we say to each.

    python benchmarks/fallback_paths.py

Each request is made twice, in a child process of its own: of onnxruntime alone, with
enable_fallback=0, and of us. Printed is a Markdown table; the script ends with 1 if a request was
accepted whose arithmetic ran elsewhere. What the installed wheels do not allow is said to be
skipped. Three environments hold all paths: the extras webgpu and qnn with a software Vulkan driver
(.ci/software-gpu); onnxruntime-gpu without CUDA libraries; onnxruntime-openvino.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from harness.core.errors import EXIT_OK, HarnessError
from harness.devices.device import Device
from harness.devices.register import bring_in, set_environment
from harness.devices.row import ProviderRow, Registration
from harness.devices.session import open_session
from harness.devices.table import ROWS

TIMEOUT_S = 180
LOG_FATAL_ONLY = 4
HEAD = 'ir_version: 10, opset_import: ["": 21, "com.microsoft": 1]'
PRODUCT = "<float[2,2] w = {2, 0, 0, 2}"
GRAPHS = {
    "static": f"<{HEAD}> g (float[1,2] x) => (float[1,2] y) {PRODUCT}> "
    "{ xw = MatMul(x, w) y = Relu(xw) }",
    "free": f"<{HEAD}> g (float[rows,2] x) => (float[rows,2] y) {PRODUCT}> "
    "{ xw = MatMul(x, w) y = Relu(xw) }",
    "4-bit": f"<{HEAD}> g (float[1,2] x) => (float[1,2] y) {PRODUCT}, "
    "uint8[2,1,8] packed = {9, 8, 8, 8, 8, 8, 8, 8, 152, 8, 8, 8, 8, 8, 8, 8}, "
    "float[2] scales = {2, 2}> { xw = MatMul(x, w) "
    "y = com.microsoft.MatMulNBits <K=2, N=2, bits=4, block_size=16> (xw, packed, scales) }",
}
NO_DRIVER = {"ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1", "VK_ICD_FILENAMES": "/none"}

# What a request needs: a provider of this build, or a plugin's module, and what installs it.
NEEDS = {
    "CUDAExecutionProvider": "onnxruntime-gpu, no CUDA libraries",
    "TensorrtExecutionProvider": "onnxruntime-gpu, no TensorRT libraries",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "onnxruntime_ep_webgpu": "extra webgpu, a software Vulkan driver",
    "onnxruntime_qnn": "extra qnn",
}
OUR_KEYS = ("qnn", "coreml-npu", "openvino-legacy")  # of providers with several rows


@dataclass(frozen=True, slots=True)
class Request:
    """One way to ask for a device that does not do the work.

    Attributes:
        words: what is asked for.
        provider: ONNX Runtime's name of it.
        needs: key of NEEDS; None: any environment.
        way: `name` in the list of providers, by `plugin`, or a selection `policy`.
        options: of the provider.
        graph: key of GRAPHS.
        registered: whether the plugin's library is registered first.
        any_shape: our rule that the row takes static graphs only is taken away.
        environment: variables of the child; None: those of the row's simulation.
    """

    words: str
    provider: str
    needs: str | None = None
    way: str = "name"
    options: dict[str, str] = field(default_factory=dict)
    graph: str = "static"
    registered: bool = False
    any_shape: bool = True
    environment: dict[str, str] | None = None


def _openvino(kind: str) -> Request:
    provider = "OpenVINOExecutionProvider"
    return Request(
        f"OpenVINO, device_type {kind}", provider, provider, options={"device_type": kind}
    )


def _qnn(words: str, **fields: Any) -> Request:
    fields = {"options": {"backend_type": "htp"}, **fields}
    return Request(f"QNN, {words}", "QNNExecutionProvider", "onnxruntime_qnn", "plugin", **fields)


def _absent(provider: str, words: str) -> Request:
    return Request(f"{words} `{provider}`", provider)


def _after_registration(provider: str, module: str) -> Request:
    return Request(f"`{provider}` by name, plugin registered", provider, module, registered=True)


REQUESTS = (
    _absent("FooExecutionProvider", "unknown name"),
    _absent("DmlExecutionProvider", "known, not in this build:"),
    _absent("CoreMLExecutionProvider", "known, not in this build:"),
    _absent("QNNExecutionProvider", "a plugin's name without its plugin:"),
    _absent("WebGpuExecutionProvider", "a plugin's name without its plugin:"),
    _absent("AzureExecutionProvider", "in every build, runs nothing here:"),
    Request("policy PREFER_GPU, no such device", "WebGpuExecutionProvider", None, "policy"),
    Request("policy PREFER_NPU, no such device", "QNNExecutionProvider", None, "policy"),
    Request("CUDA, libraries missing", *["CUDAExecutionProvider"] * 2),
    Request("TensorRT, libraries missing", *["TensorrtExecutionProvider"] * 2),
    *map(_openvino, ("GPU", "NPU", "AUTO:NPU,CPU", "HETERO:GPU,CPU", "AUTO", "FOO")),
    _after_registration("WebGpuExecutionProvider", "onnxruntime_ep_webgpu"),
    Request(
        "WebGPU, no driver brings an adapter",
        "WebGpuExecutionProvider",
        "onnxruntime_ep_webgpu",
        "plugin",
        environment=NO_DRIVER,
    ),
    _after_registration("QNNExecutionProvider", "onnxruntime_qnn"),
    _qnn("backend_path of no library", options={"backend_path": "libNoSuchBackend.so"}),
    _qnn("backend_type cpu (its library is in no wheel)", options={"backend_type": "cpu"}),
    _qnn("backend_type gpu, no such device", options={"backend_type": "gpu"}),
    _qnn("free dimensions", graph="free", any_shape=False),
    _qnn("free dimensions, without our rule", graph="free"),
    _qnn("4-bit products (MatMulNBits)", graph="4-bit"),
)
NOT_PROVOKED = (
    ("a provider that fails while it runs", "a driver that breaks down"),
    ("OpenVINO, the NPU's compiler fails", "an NPU of Intel"),
)


def main() -> int:
    print(f"onnxruntime {ort.__version__}: {', '.join(ort.get_available_providers())}\n")
    print("| request | onnxruntime, enable_fallback=0 | bench | exit code |")
    print("|:--|:--|:--|--:|")
    missed = []
    for number, request in enumerate(REQUESTS):
        if not _can(request):
            print(f"| {request.words} | skipped | needs {NEEDS[str(request.needs)]} | – |")
            continue
        theirs, ours = _child("theirs", number), _child("ours", number)
        print(f"| {request.words} | {theirs['said']} | {ours['said']} | {ours['exit_code']} |")
        if not ours["caught"]:
            missed.append(request.words)
    for words, needs in NOT_PROVOKED:
        print(f"| {words} | skipped | needs {needs} | – |")
    print(f"\nnot caught: {', '.join(missed) or 'none'}")
    return int(bool(missed))


def _can(request: Request) -> bool:
    """Whether what is needed is installed; a module's name begins with a small letter."""
    if request.needs is None:
        return True
    if request.needs.islower():
        return util.find_spec(request.needs) is not None
    return request.needs in ort.get_available_providers()


def _child(side: str, number: int) -> dict[str, Any]:
    """Ask in a fresh process, whose own output is thrown away: drivers print."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, __file__, "--side", side, str(number), str(answer)]
        environment = {**os.environ, **(REQUESTS[number].environment or {})}
        done = subprocess.run(command, capture_output=True, env=environment, timeout=TIMEOUT_S)
        if not answer.exists():
            error = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            said = f"child ended with {done.returncode}: {_short(' '.join(error))}"
            return {"said": said, "exit_code": "–", "caught": False}
        return json.loads(answer.read_text())  # type: ignore[no-any-return]


def _answer(side: str, number: int, answer: Path) -> None:
    """The child: make the request and write down what came of it."""
    request = REQUESTS[number]
    graph = answer.with_name("model.onnx")
    onnx.save(onnx.parser.parse_model(GRAPHS[request.graph]), graph)
    device = _device(request)
    if request.environment is None:
        set_environment(device)
    found = SIDES[side](request, device, graph)
    answer.write_text(json.dumps(found))


def _device(request: Request) -> Device:
    """Our row for a request, changed so far that it makes this very request."""
    rows = [row for row in ROWS if row.provider == request.provider]
    rows.append(ProviderRow("none", "cpu", request.provider, "no-wheel", "bench devices"))
    row = next((row for row in rows if row.key in OUR_KEYS), rows[0])
    if request.way == "name":
        row = replace(row, registration=Registration.BUILT_IN, defaults=())
    if request.any_shape:
        row = replace(row, needs_static=False)
    if request.environment is not None:
        row = replace(row, simulation=None)
    if "backend_type" in request.options or "backend_path" in request.options:
        row = replace(row, defaults=())
    return Device(row, options=tuple(request.options.items()), simulate=request.way != "policy")


def _theirs(request: Request, device: Device, graph: Path) -> dict[str, Any]:
    """What onnxruntime does with the request, by nothing but its own functions."""
    options = ort.SessionOptions()
    options.log_severity_level = LOG_FATAL_ONLY
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        providers = _ask(request, device, options)
        session = ort.InferenceSession(str(graph), options, providers, enable_fallback=0)
        session.run(None, {"x": np.ones((1, 2), dtype=np.float32)})
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        return {"said": f"{type(error).__name__}: {_short(str(error))}"}
    parts = session.get_provider_graph_assignment_info()
    nodes = Counter(part.ep_name for part in parts for _ in part.get_nodes())
    return {"said": f"no error; lists {_names(session.get_providers())}; {_counts(nodes)}"}


def _ask(request: Request, device: Device, options: ort.SessionOptions) -> list[Any] | None:
    """Put the request into `options`, or return the list of providers."""
    if request.way == "policy":
        policies = ort.OrtExecutionProviderDevicePolicy
        options.set_provider_selection_policy(
            getattr(policies, request.words.split()[1].rstrip(","))
        )
        return None
    given = device.provider_options
    if request.way == "plugin" or request.registered:
        library = import_module(str(request.needs)).get_library_path()
        ort.register_execution_provider_library(request.provider, str(library))
    if request.way == "name":
        return [(request.provider, given)]
    listed = [one for one in ort.get_ep_devices() if one.ep_name == request.provider]
    if not listed:
        raise RuntimeError("get_ep_devices() lists none of it")
    options.add_provider_for_devices(listed[:1], given)
    return None


def _ours(request: Request, device: Device, graph: Path) -> dict[str, Any]:
    """What we say to the request."""
    try:
        if request.registered:
            bring_in(replace(device, row=_plugin_row(device.row)))
        opened = open_session(graph, device, threads=1)
    except HarnessError as error:
        words = f"{type(error).__name__}: {_short(error.problem)}"
        return {"said": words, "exit_code": error.exit_code, "caught": True}
    placement = opened.placement
    said = f"{placement.verdict}: {_counts(placement.nodes)}"
    return {"said": said, "exit_code": EXIT_OK, "caught": placement.proven}


def _plugin_row(row: ProviderRow) -> ProviderRow:
    """The row as it is in the table."""
    return next(known for known in ROWS if known.key == row.key)


def _names(providers: list[str]) -> str:
    return ", ".join(name.removesuffix("ExecutionProvider") for name in providers)


def _counts(nodes: Mapping[str, int]) -> str:
    words = [f"{count} on {_names([owner])}" for owner, count in nodes.items()]
    return f"nodes: {', '.join(words) or 'none recorded'}"


def _short(text: str) -> str:
    """The first 110 letters of the first line, fit for a cell."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    line = re.sub(r"/onnxruntime_src/\S+ ", "", line).replace("|", "/")  # where in its source
    return line if len(line) <= 110 else f"{line[:109]}…"


SIDES = {"theirs": _theirs, "ours": _ours}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args().side
    if given is None:
        sys.exit(main())
    _answer(given[0], int(given[1]), Path(given[2]))
