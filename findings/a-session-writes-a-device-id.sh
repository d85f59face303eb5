#!/usr/bin/env bash
# Opening a session leaves a device id and a database of events in the user's cache folder.
#
# onnxruntime 1.32.0, the wheel for Linux from the package index. One would guess that a library which
# runs a model file writes nothing. Loading a model writes a device id and an event database below the
# home folder's cache, and a background thread tries to deliver them later, inside whatever is being
# measured. With ORT_DISABLE_TELEMETRY=1 set before the import no such file appears; calling
# onnxruntime.disable_telemetry_events() straight after the import comes too late.
# Output seen: by default deviceid and onnxruntime.db below .cache/Microsoft, and the same after the
# call; with the variable none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import os
import subprocess
import sys
import tempfile
from pathlib import Path

OPEN = """
import os
import onnxruntime
if "CALL" in os.environ:
    onnxruntime.disable_telemetry_events()
from onnx import TensorProto, helper
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", values[:1], values[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""


def written(variables):
    """What opening a session writes into an empty home folder."""
    with tempfile.TemporaryDirectory() as home:
        kept = {n: v for n, v in os.environ.items() if n not in ("XDG_CACHE_HOME", "TMPDIR")}
        environment = kept | {"HOME": home, "TMPDIR": home, "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("ORT_DISABLE_TELEMETRY", None)
        subprocess.run([sys.executable, "-c", OPEN], env=environment | variables, check=True)
        return sorted(str(p.relative_to(home)) for p in Path(home).rglob("*") if p.is_file())


usual, off, call = (written(v) for v in ({}, {"ORT_DISABLE_TELEMETRY": "1"}, {"CALL": "1"}))
print(f"by default: {', '.join(usual) or 'nothing'}")
print(f"with ORT_DISABLE_TELEMETRY=1: {', '.join(off) or 'nothing'}")
print(f"with disable_telemetry_events(): {', '.join(call) or 'nothing'}")
kept = all(any("deviceid" in name for name in names) for names in (usual, call))
sys.exit(0 if kept and not off else "the behaviour has changed")
END
