"""Rows of devices that are absent, emulated, or leave work to others: what a run makes of them."""

from dataclasses import replace

import pytest

from harness.core.errors import EXIT_CELLS, EXIT_DEVICE, EXIT_OK, DeviceError
from harness.devices.device import find_device
from harness.devices.probe import Probe
from harness.report.render import render
from harness.results.replies import Placement
from harness.results.schema import Reason, Trust
from harness.runner.loop.assemble import device_doubts, doubt
from harness.runner.loop.calibration import has_peaks
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import Settings

pytestmark = pytest.mark.usefixtures("small_peaks")

FULL = Placement(verdict="FULL")
FELL_BACK = Placement(verdict="FELL_BACK", fell_off={"MatMul": 3})


def absent(device):
    return Probe(device.row, "not installed", f"{device.key} is not installed", "pip install it")


def quiet(what, done, total):
    """Progress that nobody watches."""


@pytest.fixture
def settings(tiny_folder):
    return Settings(
        model=(str(tiny_folder),),
        quant=("fp32",),
        prompt=(8,),
        gen=(2,),
        threads=("1",),
        rounds=1,
        warm_seconds=0.05,
        sample_seconds=0.01,
        min_passes=1,
    )


def test_a_plan_of_absent_devices_stops_before_anything_is_built(settings):
    with pytest.raises(DeviceError, match="cuda is not installed") as caught:
        make_plan(replace(settings, device=("cuda", "qnn")), 1, absent)
    assert caught.value.exit_code == EXIT_DEVICE


def test_each_device_is_probed_once_for_all_parts(settings):
    asked = []

    def works(device):
        asked.append(device.key)
        return Probe(device.row, "works")

    parts = (replace(settings, device=("webgpu",)), replace(settings, device=("webgpu", "cpu")))
    plan = make_plan(replace(settings, part=parts), 1, works)
    assert asked == ["webgpu"]
    assert [group.device.key for group in plan.groups] == ["webgpu", "cpu"]


def test_one_absent_device_of_a_grid_costs_its_own_rows(settings, tmp_path, shared_cache):
    short = replace(settings, device=("cpu", "npu"), calibrate=False)
    plan = make_plan(short, 1, absent)
    outcome = run_plan(plan, results=tmp_path, cache=shared_cache, progress=quiet)
    assert outcome.exit_code == EXIT_CELLS
    states = {(record.cell.device, record.status) for record in outcome.document.records}
    assert states == {("cpu", "ok"), ("npu", "failed")}
    (reason,) = {r.reason for r in outcome.document.records if r.status == "failed"}
    assert "qnn (not installed)" in reason


def test_doubts_of_a_device_bound_the_grade_and_come_first():
    few = Reason(code="FEW_PROCESSES", detail="2")
    doubts = device_doubts(FELL_BACK, simulated=True)
    doubted = doubt(Trust(grade="B", reasons=(few,)), doubts)
    assert doubted.grade == "C"
    assert [reason.code for reason in doubted.reasons] == ["SIMULATED", "PLACEMENT", few.code]
    assert doubted.reasons[1].detail == "FELL_BACK: nodes left to others: 3 MatMul"


def test_no_device_makes_an_invalid_record_better():
    doubts = device_doubts(FULL, simulated=True)
    assert doubt(Trust(grade="INVALID"), doubts).grade == "INVALID"


@pytest.mark.parametrize("placement", [FULL, Placement(verdict="FULL_COMPUTE"), None])
def test_a_real_device_that_did_the_work_takes_nothing_away(placement):
    assert device_doubts(placement, simulated=False) == ()


def test_peaks_are_those_of_the_host():
    assert has_peaks(find_device("cpu"))
    assert not has_peaks(find_device("webgpu"))
    assert not has_peaks(replace(find_device("cpu"), refusal=("none", "buy one")))


@pytest.mark.device("webgpu")
@pytest.mark.parametrize("allowed", [False, True])
def test_arithmetic_on_another_provider_fails_the_row_unless_that_is_allowed(
    settings, allowed, tmp_path, shared_cache
):
    """One product is forced to the CPU by an option of the provider."""
    settings = replace(
        settings,
        device=("webgpu",),
        prompt=(),
        ep_option=("forceCpuNodeNames=model.layers.0.mlp.down_proj.product",),
        allow_simulated=True,
        allow_fallback=allowed,
    )
    outcome = run_plan(make_plan(settings, 1), results=tmp_path, cache=shared_cache, progress=quiet)
    (record,) = outcome.document.records
    text = render(outcome.document, "table")
    if not allowed:
        assert (outcome.exit_code, record.status) == (EXIT_DEVICE, "failed")
        assert "1 MatMul" in record.reason
        assert "PARTIAL" in text
        return
    assert (outcome.exit_code, record.status) == (EXIT_OK, "ok")
    assert (record.placement.verdict, record.placement.fell_off["MatMul"]) == ("PARTIAL", 1)
    assert [reason.code for reason in record.trust.reasons][:2] == ["SIMULATED", "PLACEMENT"]
    assert "PARTIAL: others computed" in text


@pytest.mark.device("webgpu")
def test_a_run_on_the_emulated_gpu_is_marked_and_gives_the_cpus_tokens(
    settings, tmp_path, shared_cache
):
    """Both devices choose the same tokens; the emulated one has no estimate and no rank."""
    settings = replace(settings, device=("cpu", "gpu"), allow_simulated=True, profile=True)
    outcome = run_plan(make_plan(settings, 1), results=tmp_path, cache=shared_cache, progress=quiet)
    records = outcome.document.records
    assert [record.reason for record in records] == [None] * 4
    assert outcome.exit_code == EXIT_OK
    gpu = [record for record in records if record.cell.device == "webgpu"]
    assert [record.simulated for record in records] == [False, False, True, True]
    assert {record.placement.verdict for record in gpu} == {"FULL_COMPUTE"}
    assert {record.placement.switches for record in gpu} == {1}
    assert all(record.hardware.version and record.hardware.vendor_id for record in gpu)
    assert [record.estimates for record in gpu] == [{}, {}]
    digests = [record.samples[0].sample.digest for record in records]
    assert digests[:2] == digests[2:]
    assert all(record.hardware.least_cosine > 0.9999 for record in gpu)
    shares = {found.provider: found.share for found in gpu[0].profile.providers}
    assert shares["WebGpuExecutionProvider"] > 0.5
    assert "webgpu (simulated)" in render(outcome.document, "table")
