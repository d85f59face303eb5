"""Words of the user -> devices, over a prober that answers from a table."""

import msgspec
import pytest

from harness.core.errors import EXIT_DEVICE, DeviceError, UsageError
from harness.devices.choose import DeviceRequest, choose_devices
from harness.devices.device import Device, SentDevice, find_device
from harness.devices.probe import Probe

SIMULATED = "simulated"


class FakeProber:
    """Answers with the state of a row; `simulated` only where that is asked for."""

    def __init__(self, **states):
        self.states = {key.replace("_", "-"): state for key, state in states.items()}
        self.asked = []

    def __call__(self, device):
        self.asked.append((device.key, device.simulate))
        state = self.states.get(device.row.key, "not installed")
        if state == SIMULATED and not device.simulate:
            state = "no hardware"
        return Probe(device.row, state, f"{device.key}: {state}", "install it")


def chosen(word, prober, **request):
    (device,) = choose_devices((word,), DeviceRequest(**request), prober)
    return device


def test_the_cpu_is_never_probed():
    prober = FakeProber()
    assert chosen("cpu", prober) == find_device("cpu")
    assert prober.asked == []


def test_a_class_takes_its_first_row_that_works():
    assert chosen("gpu", FakeProber(webgpu="works", cuda="works")).key == "cuda"
    assert chosen("gpu", FakeProber(webgpu="works", cuda="no hardware")).key == "webgpu"


def test_a_simulation_is_taken_only_where_it_may_and_last():
    prober = FakeProber(webgpu=SIMULATED)
    assert chosen("gpu", prober).refusal is not None
    device = chosen("gpu", prober, allow_simulated=True)
    assert (device.key, device.simulate) == ("webgpu", True)
    real = chosen("npu", FakeProber(qnn=SIMULATED, vitisai="works"), allow_simulated=True)
    assert (real.key, real.simulate) == ("vitisai", False)


@pytest.mark.parametrize(
    ("states", "key"),
    [
        ({"qnn": "works", "cuda": "works"}, "qnn"),
        ({"cuda": "works"}, "cuda"),
        ({"qnn": SIMULATED, "webgpu": SIMULATED}, "cpu"),
        ({}, "cpu"),
    ],
)
def test_auto_is_the_best_class_that_is_real(states, key):
    device = chosen("auto", FakeProber(**states), allow_simulated=True)
    assert (device.key, device.simulate) == (key, False)


def test_nothing_that_serves_a_class_is_a_refusal_with_every_row():
    device = chosen("npu", FakeProber(qnn="no hardware"))
    assert device.key == "npu"
    with pytest.raises(DeviceError) as caught:
        device.refuse_absent()
    assert caught.value.exit_code == EXIT_DEVICE
    assert "qnn (no hardware)" in caught.value.problem
    assert "openvino-npu (not installed)" in caught.value.problem
    assert "--allow-simulated" in caught.value.fix


def test_a_pinned_row_is_refused_in_its_own_words():
    device = chosen("webgpu", FakeProber(webgpu="broken"))
    assert device.refusal == ("webgpu: broken", "install it")
    assert device.key == "webgpu"


def test_a_simulation_that_fails_says_why_it_failed():
    prober = FakeProber(qnn="no hardware")
    assert chosen("qnn", prober, allow_simulated=True).refusal is not None
    assert prober.asked == [("qnn", False), ("qnn", True)]


def test_a_device_that_falls_back_is_taken_only_when_that_is_allowed():
    prober = FakeProber(webgpu="fell back")
    assert chosen("webgpu", prober).refusal is not None
    device = chosen("webgpu", prober, allow_fallback=True)
    assert device.refusal is None
    assert device.allow_fallback


def test_an_index_picks_among_equal_devices():
    device = chosen("gpu:1", FakeProber(webgpu="works"))
    assert (device.key, device.index) == ("webgpu:1", 1)


@pytest.mark.parametrize("word", ["gpu:x", "gpu:", "cpu:-1"])
def test_an_index_that_is_no_number_is_refused(word):
    with pytest.raises(UsageError, match="is no number"):
        chosen(word, FakeProber())


def test_there_is_one_cpu():
    assert chosen("cpu:0", FakeProber()).key == "cpu"
    with pytest.raises(UsageError, match="there is one cpu"):
        chosen("cpu:1", FakeProber())


def test_ep_narrows_a_class():
    prober = FakeProber(cuda="works", webgpu="works")
    assert chosen("gpu", prober, ep=("webgpu",)).key == "webgpu"
    with pytest.raises(UsageError, match="does not serve"):
        chosen("npu", prober, ep=("webgpu",))


def test_options_go_to_the_rows_that_know_them():
    prober = FakeProber(webgpu="works")
    devices = choose_devices(
        ("cpu", "webgpu"), DeviceRequest(options=("powerPreference=low-power",)), prober
    )
    assert [device.options for device in devices] == [(), (("powerPreference", "low-power"),)]


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("powerPreferense=low-power", "know no such option"),
        ("powerPreference=fast", "does not take this value"),
        ("powerPreference", "is no NAME=VALUE"),
        ("=x", "no name stands before ="),
    ],
)
def test_a_wrong_option_is_refused(option, problem):
    with pytest.raises(UsageError, match=problem):
        chosen("webgpu", FakeProber(webgpu="works"), options=(option,))


def test_an_option_given_twice_is_refused():
    with pytest.raises(UsageError, match="given twice"):
        chosen("cuda", FakeProber(cuda="works"), options=("device_id=1", "device_id=2"))


def test_the_cpu_takes_no_option():
    with pytest.raises(UsageError) as caught:
        chosen("cpu", FakeProber(), options=("a=b",))
    assert "these devices take none" in caught.value.fix


def test_a_device_travels_as_json_and_comes_back_the_same():

    row = find_device("qnn").row
    device = Device(
        row, 1, (("htp_arch", "73"),), True, True, asked="npu", refusal=("none", "buy one")
    )
    assert (
        find_device(msgspec.json.decode(msgspec.json.encode(device.sent()), type=SentDevice))
        == device
    )


def test_options_of_a_session_are_the_rows_then_the_simulations_then_the_users():
    row = find_device("qnn").row
    options = Device(row, simulate=True, options=(("soc_model", "88"),)).provider_options
    assert options["backend_type"] == "htp"
    assert options["soc_model"] == "88"
    assert "soc_model" not in Device(row).provider_options


def test_the_second_device_of_a_built_in_provider_is_an_option():
    assert find_device("cuda:1").provider_options == {"device_id": "1"}
    assert find_device("cuda").provider_options == {}
