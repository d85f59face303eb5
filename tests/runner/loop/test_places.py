"""Where sessions that are interleaved work."""

from dataclasses import replace

from harness.devices.device import find_device
from harness.runner.loop.pinning import processors_for
from harness.runner.plan import make_plan
from harness.runner.settings import Settings

CORES = (6, 2, 4, 0)


def group_of(threads, device="cpu"):
    """A session of so many threads."""
    plan = make_plan(Settings(model=("bytelm",), quant=("fp32",), gen=(4,)), usable_threads=4)
    return replace(plan.groups[0], threads=threads, device=find_device(device))


def test_as_many_cores_as_threads_in_the_drawn_order():
    """One thread lies within two, so that sessions of both share what they can."""
    assert processors_for(group_of(1), CORES) == {6}
    assert processors_for(group_of(2), CORES) == {6, 2}
    assert processors_for(group_of(3), CORES) == {6, 2, 4}


def test_who_uses_every_core_is_left_alone():
    """There is nothing to choose, and a machine may have fewer cores than threads."""
    assert processors_for(group_of(4), CORES) is None
    assert processors_for(group_of(4), CORES[:1]) is None


def test_other_devices_are_left_alone():
    """Their drivers have threads of their own, which no count of ours tells."""
    assert processors_for(group_of(1, "webgpu"), CORES) is None
