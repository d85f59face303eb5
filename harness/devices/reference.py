"""A session that is opened for its values, never for its time."""

from pathlib import Path

import onnxruntime as ort

from harness.devices.session import session_options


def open_reference(graph: Path) -> ort.InferenceSession:
    """Open `graph` on the CPU: one thread, so that every run sums alike; weights left in the file.

    Without prepacking the weights stay mapped: the system may drop their pages, and what the
    process must hold is activations alone.
    """
    options = session_options(threads=1)
    options.add_session_config_entry("session.disable_prepacking", "1")
    return ort.InferenceSession(str(graph), options, ["CPUExecutionProvider"], enable_fallback=0)
