"""Open an ONNX Runtime session on one device, timed, with proof of where its nodes are."""

import os
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort

from harness.core.errors import DeviceError, HarnessError, ModelError
from harness.devices.allocator import giving_back
from harness.devices.device import Device, find_device
from harness.devices.hardware import pick
from harness.devices.placement import place, recorded_nodes
from harness.devices.register import bring_in
from harness.devices.row import Pairs
from harness.devices.session_options import OPTIONS
from harness.devices.session_options import SPINNING as ALLOW_SPINNING
from harness.devices.states import FellBackError
from harness.devices.table import ROWS
from harness.results.enums import PlacementVerdict
from harness.results.replies import Placement

LOG_ERRORS_ONLY = 3  # ONNX Runtime's severity; its warnings would flood the log of every load
# Threads wait for work in a busy loop; without it 2-thread decode loses 27 %. Recorded.
SPINNING = True
# Smaller tensors stay inside a saved graph: shapes are inferred from some, and only read there.
SAVED_APART_BYTES = 1024
# Classes of ONNX Runtime's errors that speak of the file, whatever the device.
FILE_ERRORS = ("InvalidProtobuf", "InvalidGraph", "NoSuchFile", "NoModel")


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A usable session.

    Attributes:
        session: ONNX Runtime's own.
        device: what it was opened on.
        threads: intra-op threads.
        spinning: whether its threads wait in a busy loop.
        load_ns: from the call to the usable session.
        placement: which provider has which nodes.
    """

    session: ort.InferenceSession
    device: Device
    threads: int
    spinning: bool
    load_ns: int
    placement: Placement

    def refuse_changed(self) -> None:
        """Look again, after timing, whether the provider is still in the session.

        Raises:
            FellBackError: ONNX Runtime has put it together anew on another one.
        """
        active = self.session.get_providers()
        if self.placement.proven and self.device.provider not in active:
            raise FellBackError(
                f"{self.device.key}: {self.device.provider} left the session while it ran; it has "
                f"{', '.join(active)} now",
                fix="run this cell alone and read the log; the driver has failed",
            )


def open_session(
    graph: Path,
    device: Device,
    threads: int,
    profile_to: Path | None = None,
    stop_spinning: bool = False,
    context_to: Path | None = None,
    content: bytes | None = None,
) -> OpenedSession:
    """Open `graph` on `device`, or its compiled form; only the session's creation is timed.

    Args:
        graph: an ONNX file; its weights may lie beside it.
        device: as chosen.
        threads: intra-op threads; inter-op is 1, execution sequential.
        context_to: file that gets what the provider compiles, in its creation; None: it is not
            kept.
        profile_to: folder that gets ONNX Runtime's profile; None: none is taken. Slows every run.
        stop_spinning: let threads rest between runs; see session_options.
        content: of the graph, opened in place of its file, whose folder holds its data.

    Raises:
        ModelError: ONNX Runtime refuses the graph.
        DeviceError: the provider is absent, or did not take the arithmetic.
    """
    device.refuse_absent()
    bring_in(device)
    graph = device.file_of(graph)
    if device.row.needs_static:
        _refuse_dynamic(graph, device)
    given = device.session_options
    options = session_options(threads, stop_spinning, device.parallel_prepack, given)
    if profile_to is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_to / graph.stem)
    if context_to is not None:
        _keep_compiled(options, context_to)
    if content is not None:
        _keep_data_in(options, graph.parent)
    providers = _add_provider(options, device)
    with giving_back() if device.parallel_prepack else nullcontext():
        start_ns = time.perf_counter_ns()
        try:
            # enable_fallback=0: an error instead of a silent second try on the CPU
            session = ort.InferenceSession(
                str(graph) if content is None else content, options, providers, enable_fallback=0
            )
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's errors share no class of their own
            raise _refused(graph, device, error) from error
        load_ns = time.perf_counter_ns() - start_ns
    placement = _placement(session, graph, device)
    if not device.allow_fallback:
        _refuse_fallback(session, device, placement)
    spinning = SPINNING and dict(given).get(ALLOW_SPINNING) != "0"
    return OpenedSession(session, device, threads, spinning, load_ns, placement)


def session_options(
    threads: int,
    stop_spinning: bool = False,
    parallel_prepack: bool = False,
    given: Pairs = (),
) -> ort.SessionOptions:
    """The options of every session; what is not set here is ONNX Runtime's default.

    Args:
        threads: intra-op threads.
        stop_spinning: for interleaved sessions: the threads of the one that waits would go on
            spinning for 100 ms and more after its run, on the cores that the other one computes on.
        parallel_prepack: kernels copy their weights on all threads: loads faster, and for a while
            more originals lie beside their copies.
        given: by the user, over these; see harness.devices.session_options.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_ERRORS_ONLY
    entries = {
        ALLOW_SPINNING: str(int(SPINNING)),
        "session.force_spinning_stop": str(int(stop_spinning)),
        "session.prepack.enable_parallel": str(int(parallel_prepack)),
        "session.record_ep_graph_assignment_info": "1",
    }
    for name, value in given:
        if OPTIONS[name].is_attribute:
            setattr(options, name, value == "1")
        elif not (stop_spinning and name == "session.force_spinning_stop"):
            entries[name] = value
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    return options


def _keep_data_in(options: ort.SessionOptions, folder: Path) -> None:
    """Say where the data of a graph lies that is no file."""
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )


def _keep_compiled(options: ort.SessionOptions, file: Path) -> None:
    """Write what is compiled to `file`, its binary beside it."""
    entries = {"enable": "1", "file_path": str(file), "embed_mode": "0"}
    for name, value in entries.items():
        options.add_session_config_entry(f"ep.context_{name}", value)


def _add_provider(options: ort.SessionOptions, device: Device) -> list[Any] | None:
    """Put a plugin's device into `options`, or return the list that names a built-in provider.

    A plugin's provider given by name is ignored without a word, so it is never named.
    """
    listed = pick(device)
    if listed is None:
        return [(device.provider, device.provider_options)]
    options.add_provider_for_devices([listed], device.provider_options)
    return None


def _placement(session: ort.InferenceSession, graph: Path, device: Device) -> Placement:
    """Where the nodes are; the file is read again only where several providers share them."""
    nodes = recorded_nodes(session)
    shared = len({owner for owner, _, _ in nodes}) > 1
    return place(nodes, device.provider, _node_names(graph) if shared else None)


def _node_names(graph: Path) -> list[str]:
    """Names in the order of the file; onnx is imported where it is needed, and counted there."""
    from harness.builder.graph.outline import node_names

    return node_names(graph)


def _refuse_dynamic(graph: Path, device: Device) -> None:
    """A row that wants static shapes takes no node of another graph, most without a word."""
    from harness.builder.graph.outline import free_dimensions

    free = free_dimensions(graph)
    if free:
        here = (row for row in ROWS if sys.platform in row.systems)
        able = ", ".join(row.key for row in here if not row.needs_static)
        raise DeviceError(
            f"{device.key} needs static shapes; {graph.name} leaves {', '.join(free)} open",
            fix=f"a row that takes any shape: {able}",
        )


def _refused(graph: Path, device: Device, error: Exception) -> HarnessError:
    """What ONNX Runtime said, without a path, as an error of the file or of the device."""
    text = str(error).replace(f"{graph.parent}{os.sep}", "")  # names no place
    problem = f"onnxruntime cannot open {graph.name}"
    if type(error).__name__ == NO_KERNEL:
        return _without_kernel(graph, device, text)
    if device.row.is_host or type(error).__name__ in FILE_ERRORS:
        return ModelError(
            f"{problem}: {text}",
            fix="build the model again; if it fails again, the runtime is too old or the disk bad",
        )
    return DeviceError(
        f"{problem} on {device.key}: {text}", fix="bench devices says whether the device works"
    )


def _without_kernel(graph: Path, device: Device, text: str) -> HarnessError:
    """The runtime knows the operators of a graph, and has no code for one of them there."""
    from harness.builder.graph.outline import stored_types

    others = [name for name in stored_types(graph) if name not in ("float", "int64")]
    held = f" (its weights are {', '.join(others)})" if others else ""
    refusal = ModelError if device.row.is_host else DeviceError
    return refusal(
        f"onnxruntime has no kernel on {device.key} for {graph.name}{held}: {text}",
        fix="another file of the model, such as the fp32 or an int8 one, or another device",
    )


NO_KERNEL = "NotImplemented"  # of onnxruntime's exceptions


def _refuse_fallback(session: ort.InferenceSession, device: Device, placement: Placement) -> None:
    """What another device computed is no result of this one."""
    active = session.get_providers()
    if placement.proven and device.provider in active:
        return
    if placement.verdict is PlacementVerdict.PARTIAL:
        left = ", ".join(f"{count} {name}" for name, count in placement.fell_off.items())
        problem = f"{device.key}: {device.provider} left operators to others: {left}"
    else:
        where = placement.nodes or active
        problem = f"{device.key}: nothing ran on {device.provider}; nodes per provider: {where}"
    raise FellBackError(f"{problem} ({placement.verdict})", fix=way_around(device, placement))


def way_around(device: Device, placement: Placement) -> str:
    """What to try where a provider has left operators to others.

    Args:
        device: as chosen.
        placement: of the session.
    """
    if device.row.half_attention and ATTENTION in placement.fell_off:
        return (
            f"--quant fp16 or int4-half: the attention of {device.key} takes floats of 16 bits"
            " alone; --allow-fallback keeps such a row"
        )
    return "bench devices says whether the device works; --allow-fallback keeps such a row"


ATTENTION = "GroupQueryAttention"


def open_reference(graph: Path) -> ort.InferenceSession:
    """Open `graph` on the CPU so that every run sums alike and little memory is held.

    One thread. Weights are not prepacked: they stay mapped, and the system may drop their pages.
    Nodes run as soon as their inputs are there, and every array is freed when its last reader is
    done: in ONNX Runtime's own order the readers of a tensor may come last of all. Measured on the
    graph that calibrates SmolLM2-135M, passes of 128 tokens: 130 MB of anonymous memory instead of
    1.2 GB.
    """
    return ort.InferenceSession(str(graph), _sparing(), ["CPUExecutionProvider"], enable_fallback=0)


def open_mapped(graph: bytes, folder: Path, prepacked: bool) -> ort.InferenceSession:
    """Open a graph on the CPU for a run or two, its weights mapped from files and nothing copied.

    As open_reference, and nothing is optimized: to fold constants is to make copies of weights.

    Args:
        graph: a serialized model whose large tensors lie in files.
        folder: where these files lie.
        prepacked: whether operators make their own copies of weights: those of 4 bits take less
            than the floats that MatMulNBits makes of a whole matrix without them.

    Raises:
        RuntimeError: ONNX Runtime refuses it, among others of its own classes.
    """
    options = _sparing(prepacked)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    _keep_data_in(options, folder)
    return ort.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)


def save_prepacked(graph: Path, content: bytes, to: Path, data: str) -> None:
    """Write `graph` as the CPU runs it, with the copies that its kernels make of weights.

    A session opened on the result maps these copies instead of keeping its own. ONNX Runtime
    (1.32) still makes each copy once, for its hash, and drops it where the file has the same.

    Args:
        graph: an ONNX file, beside its data.
        content: of the graph, opened in place of its file.
        to: the file that is written.
        data: name of the file beside it that gets weights and copies.

    Raises:
        ModelError: ONNX Runtime refuses the graph.
    """
    options = session_options(threads=1)
    options.optimized_model_filepath = str(to)
    for name, value in (
        ("optimized_model_external_initializers_file_name", data),
        ("optimized_model_external_initializers_min_size_in_bytes", str(SAVED_APART_BYTES)),
        ("save_external_prepacked_constant_initializers", "1"),
    ):
        options.add_session_config_entry(f"session.{name}", value)
    _keep_data_in(options, graph.parent)
    host = find_device("cpu")
    try:
        ort.InferenceSession(content, options, [host.provider], enable_fallback=0)
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        raise _refused(graph, host, error) from error


def _sparing(prepacked: bool = False) -> ort.SessionOptions:
    """Options of a session that holds as little memory as it can."""
    options = session_options(threads=1)
    options.add_session_config_entry("session.disable_prepacking", str(int(not prepacked)))
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    options.enable_cpu_mem_arena = False
    return options
