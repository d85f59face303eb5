"""Mixes of onnxruntime distributions, sound and broken."""

import pytest

from harness.core.findings import ERROR, OK
from harness.devices.wheels import Runtime, check_wheels, judge_wheels

SOUND = Runtime("1.31.1", ("CPUExecutionProvider",))
ONE = {"onnxruntime": "1.31.1"}


def test_one_wheel_that_says_what_pip_says_is_sound():
    (found,) = judge_wheels(ONE, ["libonnxruntime.so.1.31.1"], SOUND)
    assert (found.state, found.fix) == (OK, None)
    assert "onnxruntime 1.31.1, providers: CPUExecutionProvider" in found.detail


@pytest.mark.parametrize(
    ("versions", "libraries", "runtime", "detail", "fix"),
    [
        (
            ONE | {"onnxruntime-gpu": "1.31.1"},
            [],
            SOUND,
            "2 distributions own",
            "uninstall -y onnx",
        ),
        (ONE, [], Runtime(None, problem="no module"), "cannot be imported: no module", "uninstall"),
        ({}, [], Runtime(None), "no distribution", "pip install 'onnxruntime>=1.31'"),
        (ONE, [], Runtime("1.24.1"), "says it is 1.24.1, pip says", "uninstall"),
        (ONE, ["libonnxruntime.so.1.24.1", "libonnxruntime.so.1.31.1"], SOUND, "2 runtimes", "uni"),
        ({"onnxruntime": "1.30.0"}, [], Runtime("1.30.0"), "where all nodes run", "--upgrade"),
        (
            {"onnxruntime-openvino": "1.23.0"},
            [],
            Runtime("1.23.0"),
            "where all nodes run",
            "onnxruntime-openvino>=1.24",
        ),
    ],
)
def test_a_broken_mix_is_an_error_with_its_repair(versions, libraries, runtime, detail, fix):
    found = list(judge_wheels(versions, libraries, runtime))
    assert {one.state for one in found} == {ERROR}
    assert any(detail in one.detail and fix in one.fix for one in found)


def test_a_release_with_letters_in_its_number_is_compared():
    assert [
        one.state for one in judge_wheels({"onnxruntime": "1.32.0rc1"}, [], Runtime("1.32.0rc1"))
    ] == [OK]


def test_a_wheel_without_plugins_may_be_older():
    versions = {"onnxruntime-openvino": "1.24.1"}
    assert [one.state for one in judge_wheels(versions, [], Runtime("1.24.1"))] == [OK]


def test_this_environment_is_looked_at_in_a_child():
    assert all(found.detail for found in check_wheels())
