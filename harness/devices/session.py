"""Open an ONNX Runtime session on one device, timed, with proof of where its nodes are."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from harness.devices.placement import Placement, Verdict, read_placement
from harness.devices.table import Device
from harness.errors import DeviceError, ModelError

LOG_ERRORS_ONLY = 3  # ONNX Runtime's severity; its warnings would flood the log of every load
# Threads wait for work in a busy loop; without it 2-thread decode loses 27 %. Recorded.
SPINNING = True


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A usable session.

    Attributes:
        session: ONNX Runtime's own.
        device: the row it was opened on.
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


def open_session(graph: Path, device: Device, threads: int) -> OpenedSession:
    """Open `graph` on `device`; nothing but the creation of the session is timed.

    Args:
        graph: an ONNX file; its weights may lie beside it.
        device: a row of the table.
        threads: intra-op threads; inter-op is 1, execution sequential.

    Raises:
        ModelError: ONNX Runtime refuses the graph.
        DeviceError: the provider is absent, or took no node.
    """
    _refuse_absent(device)
    options = session_options(threads)
    providers = [device.provider]
    start_ns = time.perf_counter_ns()
    try:
        # enable_fallback=0: an error instead of a silent second try on the CPU
        session = ort.InferenceSession(str(graph), options, providers, enable_fallback=0)
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        text = str(error).replace(f"{graph.parent}{os.sep}", "")  # names no place
        raise ModelError(
            f"onnxruntime cannot open {graph.name}: {text}",
            fix="build the model again; if it fails again, the runtime is too old or the disk bad",
        ) from error
    load_ns = time.perf_counter_ns() - start_ns
    placement = read_placement(session, device.provider)
    _refuse_fallback(session, device, placement)
    return OpenedSession(session, device, threads, SPINNING, load_ns, placement)


def session_options(threads: int) -> ort.SessionOptions:
    """The options of every session; what is not set here is ONNX Runtime's default."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(SPINNING)))
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _refuse_absent(device: Device) -> None:
    """An unknown provider would be replaced by the CPU with a warning at most."""
    available = ort.get_available_providers()
    if device.provider not in available:
        raise DeviceError(
            f"{device.key} needs {device.provider}; this onnxruntime has {', '.join(available)}",
            fix=f"pip install {device.wheel}",
        )


def _refuse_fallback(session: ort.InferenceSession, device: Device, placement: Placement) -> None:
    """No node on the wanted provider, or none of it in the session, is another device's result."""
    active = session.get_providers()
    if device.provider in active and placement.verdict is not Verdict.FELL_BACK:
        return
    raise DeviceError(
        f"{device.key}: nothing ran on {device.provider}; nodes per provider: "
        f"{placement.nodes or active}",
        fix=f"check that {device.wheel} fits this device and its driver, or use --device cpu",
    )
