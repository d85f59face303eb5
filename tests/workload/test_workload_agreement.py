"""Devices held against the CPU."""

import numpy as np
import pytest
from tiny_decoder import TinyDecoder

from harness.errors import EXIT_DEVICE, DeviceError
from harness.workload import agreement
from harness.workload.agreement import agree, cosine


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyDecoder(tmp_path_factory.mktemp("tiny"), "int4")


def arguments(tiny):
    return {name: value for name, value in tiny.session_arguments().items() if name != "batch"}


def test_the_cpu_agrees_with_itself(tiny):
    assert agree(**arguments(tiny))["least_cosine"] == pytest.approx(1.0)


def test_a_device_with_other_logits_is_refused(tiny, monkeypatch):
    """The second session's logits have another sign."""
    honest, calls = agreement._logits, []

    def turned(*values):
        calls.append(values)
        sign = -1 if len(calls) == 2 else 1
        return [sign * logits for logits in honest(*values)]

    monkeypatch.setattr(agreement, "_logits", turned)
    with pytest.raises(DeviceError, match=r"cosine -1\.0000") as caught:
        agree(**arguments(tiny))
    assert caught.value.exit_code == EXIT_DEVICE


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([1, 0], [2, 0], 1.0), ([1, 0], [0, 1], 0.0), ([1, 1], [-1, -1], -1.0)],
)
def test_cosine(one, other, expected):
    assert cosine(np.array(one, float), np.array(other, float)) == pytest.approx(expected)


@pytest.mark.parametrize("other", [[0, 0], [np.nan, 1], [np.inf, 1]])
def test_what_is_no_direction_has_no_cosine_and_never_passes(other):
    assert not cosine(np.array([1.0, 1.0]), np.array(other, float)) >= agreement.LEAST_COSINE
