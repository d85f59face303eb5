"""Names of devices."""

import subprocess
import sys

import pytest

from harness.devices.table import DEVICES, find_device
from harness.errors import EXIT_USAGE, UsageError


def test_every_key_and_class_finds_a_row():
    for device in DEVICES:
        assert find_device(device.key) is device
        assert find_device(device.kind).kind == device.kind


def test_keys_are_unique():
    assert len({device.key for device in DEVICES}) == len(DEVICES)


@pytest.mark.parametrize(("name", "fix"), [("cpuu", "did you mean cpu?"), ("moon", "one of: cpu")])
def test_an_unknown_name_is_a_usage_error_with_the_nearest(name, fix):
    with pytest.raises(UsageError) as caught:
        find_device(name)
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.fix == fix


def test_the_table_needs_no_runtime():
    program = (
        "import sys, harness.devices.table; sys.exit('onnxruntime' in sys.modules "
        "or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
