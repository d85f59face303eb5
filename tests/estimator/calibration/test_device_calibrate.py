"""Constants of a graphics processor, by its own graphs; here on the CPU, and on an emulated one."""

import json

import numpy as np
import onnxruntime as ort
import pytest

from harness.builder.graph.micro import write_operator_chain
from harness.builder.graph.micro_device import DONE, READ_WIDTH, prove_end, write_reads
from harness.builder.quantize.levels import find_level
from harness.cli.main import main
from harness.core.errors import MeasurementError
from harness.devices.device import Device
from harness.devices.table import find_row
from harness.estimator.calibration import device_calibrate
from harness.estimator.calibration.constants import (
    ATTENTION,
    ATTENTION_CALL,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    call_name,
)
from harness.estimator.calibration.device_calibrate import (
    device_key,
    ensure_device_constants,
    reads_alone,
)
from harness.estimator.calibration.device_sizes import (
    SIMULATED,
    SIMULATED_BASIS,
    Floats,
    floats_of,
    is_calibrated_row,
)
from harness.results.environment import MachineFacts
from tests.inline_worker import InlineWorker
from tests.replies import hardware

FACTS = MachineFacts(cpu_model="one", packages={"onnxruntime": "1.32.0"})
CPU = Device(find_row("cpu"))
GPU = hardware(key="webgpu", hardware="gpu", kind="gpu", vendor_id="0x10de", device_id="0x2684")
KEY = device_key(FACTS, CPU, 1, GPU)


@pytest.fixture
def inline(monkeypatch):
    """Probes run here, so briefly that neighbours may turn times round; then they run again."""
    measure = device_calibrate.measure_device

    def until_in_order(*asked, **named):
        for _ in range(5):
            try:
                return measure(*asked, **named)
            except MeasurementError:
                continue
        return measure(*asked, **named)

    monkeypatch.setattr(device_calibrate, "Worker", InlineWorker)
    monkeypatch.setattr(device_calibrate, "measure_device", until_in_order)


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_constant_is_measured_over_either_float_type(dtype, tmp_path, monkeypatch):
    """The same probes as of a card, with the CPU's provider in its place."""
    monkeypatch.setattr(device_calibrate, "floats_of", lambda row: Floats(dtype))
    found = ensure_device_constants(tmp_path, KEY, CPU, ("fp16", "int4"), sizes=SIMULATED)
    blocks = "block-4-32-half" if dtype == "float16" else "block-4-32"
    constants, kernels = found.constants, ("float-16", blocks)
    assert set(constants.rates) == {
        *kernels,
        *map(call_name, kernels),
        *(ATTENTION, "attention-fp16", ATTENTION_CALL, CHOICE, ELEMENTWISE, OPERATOR_CALL),
    }
    assert set(constants.times) == {SESSION_CALL}
    assert [point.size_bytes for point in constants.bandwidth] == list(SIMULATED.bandwidth_bytes)
    assert constants.basis == "measured here on cpu"
    asked = ("int4-half",) if dtype == "float16" else ("int4",)
    again = ensure_device_constants(tmp_path, KEY, CPU, asked)
    assert again == found, "what is stored is not measured again"


@pytest.mark.usefixtures("inline")
def test_a_device_that_takes_no_attention_has_all_other_constants(tmp_path, monkeypatch):
    """OpenVINO leaves GroupQueryAttention to the CPU, and takes our encoders whole."""
    monkeypatch.setattr(device_calibrate, "floats_of", lambda row: Floats("float32", attends=False))
    found = ensure_device_constants(tmp_path, KEY, CPU, ("fp16", "int4"), sizes=SIMULATED)
    assert found.constants.basis == "measured here on cpu, without attention"
    kernels = ("float-16", "block-4-32")
    assert set(found.constants.rates) == {
        *kernels,
        *map(call_name, kernels),
        *(CHOICE, ELEMENTWISE, OPERATOR_CALL),
    }
    assert ensure_device_constants(tmp_path, KEY, CPU, ("fp16",)) == found
    assert not floats_of(find_row("openvino-gpu")).attends


def test_an_emulated_device_is_measured_every_time_and_never_kept(tmp_path, monkeypatch):
    asked = []

    def measure(key, device, levels, sizes, seed, log):
        asked.append(sizes)
        return device_calibrate.Constants(SIMULATED_BASIS, ())

    monkeypatch.setattr(device_calibrate, "measure_device", measure)
    emulated = Device(find_row("webgpu"), simulate=True)
    for _ in range(2):
        found = ensure_device_constants(tmp_path, KEY, emulated, ("int4",))
    assert asked == [SIMULATED, SIMULATED]
    assert found.constants.basis.startswith("simulated")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [{"device_id": "0x2782"}, {"version": "9"}, {"vendor_id": "0x1"}])
def test_another_card_or_driver_has_constants_of_its_own(other):
    changed = device_key(FACTS, CPU, 1, hardware(**{**_told(GPU), **other}))
    assert changed.fingerprint != KEY.fingerprint
    assert device_key(FACTS, CPU, 1, GPU) == KEY


def test_the_second_device_of_a_row_has_a_file_that_every_system_can_name():
    key = device_key(FACTS, Device(find_row("webgpu"), index=1), 2, GPU)
    assert key.device == "webgpu:1"
    assert key.file_name.startswith("webgpu-1-2t-")


def test_integers_lie_between_the_floats_that_a_device_has_attention_for():
    """CUDA's GroupQueryAttention takes float16 and no float32."""
    assert floats_of(find_row("cuda")).level(find_level("int4")).float_dtype == "float16"
    assert floats_of(find_row("webgpu")).level(find_level("int4")).float_dtype == "float32"
    assert floats_of(find_row("cuda")).level(find_level("fp32")).float_dtype == "float32"


def test_attention_over_half_floats_is_measured_where_a_level_has_them():
    """A device need not know them, and where it knows no others that rate stands for both."""
    whole, half = Floats("float32"), Floats("float16")
    assert whole.caches(("int4",)) == ()
    assert whole.caches(("int4", "fp16")) == ("fp16",)
    assert half.caches(("fp16",)) == ()
    assert "attention-fp16" in whole.needed(("int4-half",))
    assert half.needed(("int4-half",)) == {"attention", "attention-fp16", "block-4-32-half"}


@pytest.mark.parametrize(
    ("row", "known"), [("webgpu", True), ("cuda", True), ("openvino-gpu", True), ("qnn", False)]
)
def test_rows_that_take_our_graphs_can_be_calibrated(row, known):
    assert is_calibrated_row(find_row(row)) == known


def test_reads_are_without_what_a_run_takes_that_reads_nothing():
    """10 us of 12 are taken off by half at most: 6 us are left; of 60 us 50."""
    reply = [
        {"size_bytes": 1, "pass_ns": [10, 10, 90]},
        {"size_bytes": 2**20, "pass_ns": [12]},
        {"size_bytes": 2**22, "pass_ns": [60]},
    ]
    assert [shot["pass_ns"] for shot in reads_alone(reply)] == [[6.0], [50.0]]


def test_the_proof_of_an_end_is_the_last_row_and_both_inputs(tmp_path):
    path = tmp_path / "chain.onnx"
    write_operator_chain(path, 8, 2)
    prove_end(path, "product")
    rows = np.ones((1, 3, 8), np.float32)
    fed = {"tick": np.full((1, 1), 2, np.float32), "tock": np.full((1, 1), 3, np.float32)}
    product, done = ort.InferenceSession(path).run(["product", DONE], {"hidden": rows, **fed})
    np.testing.assert_allclose(done, product[:, -1:] + 5, rtol=1e-6)


def test_a_read_sums_every_value_of_every_part(tmp_path):
    """Two parts of 3 rows of ones: 2 * 3 * 1024, and nothing is folded away."""
    path = tmp_path / "reads.onnx"
    write_reads(path, 2)
    ones = np.ones((3, READ_WIDTH), np.float32)
    nothing = np.zeros((1, 1), np.float32)
    fed = {"part.0": ones, "part.1": ones, "tick": nothing, "tock": nothing}
    (done,) = ort.InferenceSession(path).run(None, fed)
    assert done.tolist() == [[2 * 3 * READ_WIDTH]]


@pytest.mark.device("webgpu")
def test_an_emulated_device_runs_every_probe_and_says_that_it_is_none(capsys, tmp_path):
    flags = ["--device", "webgpu", "--allow-simulated", "--quant", "fp16,int4", "--threads", "1"]
    assert main(["calibrate", *flags, "--cache", str(tmp_path), "--format", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["constants"]["basis"] == SIMULATED_BASIS
    assert {"float-16", "block-4-32", ATTENTION} <= record["constants"]["rates"].keys()
    assert not (tmp_path / "calibration").exists()


def _told(found):
    return {name: getattr(found, name) for name in ("key", "hardware", "kind", "vendor_id")} | {
        "device_id": found.device_id
    }
