"""Which worker may take which cell."""

import pytest

from harness.fleet.scheduling.offer import OfferedDevice, needed, read_offer, resources
from harness.fleet.scheduling.placing import Wanted, members_of, unit_for
from tests.fleet.scheduling.recording import CUDA, METHOD, VERSION, Recording, member, offer

WEBGPU = OfferedDevice(row="webgpu", kind="gpu", simulated=True)
DML = OfferedDevice(row="dml", kind="gpu")


@pytest.mark.parametrize(
    ("wanted", "more", "unit"),
    [
        (Wanted("0", "", "cpu"), (), "cpu"),
        (Wanted("0", "", "cuda"), (), None),
        (Wanted("0", "", "cuda"), (CUDA,), "cuda"),
        (Wanted("0", "", "gpu"), (CUDA,), "gpu"),
        (Wanted("0", "", "cuda:1"), (CUDA,), "cuda:1"),
        (Wanted("0", "", "gpu:1"), (DML,), None),
        (Wanted("0", "", "cuda:2"), (CUDA,), None),
        (Wanted("0", "", "gpu", rows=("dml",)), (CUDA,), None),
        (Wanted("0", "", "gpu", rows=("cuda", "dml")), (DML,), "dml"),
        (Wanted("0", "", "webgpu"), (WEBGPU,), None),
        (Wanted("0", "", "webgpu", allow_simulated=True), (WEBGPU,), "simulated webgpu"),
        (Wanted("0", "", "gpu", allow_simulated=True), (WEBGPU, CUDA), "gpu"),
        (Wanted("0", "", "npu"), (CUDA,), None),
    ],
)
def test_a_cell_goes_where_its_device_is(wanted, more, unit):
    """By row, by class, by number; to an emulated one only where that is asked for."""
    assert unit_for(wanted, (member("a", *more),)) == unit


def test_a_cell_takes_what_its_worker_announces():
    """Every name that a cell asks for is a resource of the worker, with enough of it."""
    one = offer("a", CUDA, WEBGPU)
    has = resources(one)
    for device in one.devices:
        for name in device.names:
            takes = needed(name, device.kind, VERSION, METHOD)
            assert all(has[key] >= amount for key, amount in takes.items())


def test_nothing_is_measured_beside_the_processor():
    """Two classes may be measured at once, but for a processor's; one class never twice."""
    has = resources(offer("a", CUDA, OfferedDevice(row="qnn", kind="npu")))

    def fit(*devices):
        taken = [needed(row, kind, VERSION, METHOD) for row, kind in devices]
        return all(sum(one.get(key, 0) for one in taken) <= has[key] for key in has)

    assert fit(("cuda", "gpu"), ("qnn", "npu"))
    assert not fit(("cpu", "cpu"), ("cuda", "gpu"))
    assert not fit(("cuda", "gpu"), ("cuda:1", "gpu"))
    assert not fit(("cpu", "cpu"), ("cpu", "cpu"))


def test_a_worker_of_another_version_is_refused_by_name():
    """The sentence says who runs what; so is one that is none of ours."""
    crew = Recording()
    crew.join(offer("good"))
    crew.join(offer("old", version="1.2.2"))
    crew.known["tcp://other"] = {"name": "theirs"}
    crew.known["tcp://odd"] = {"name": "odd", "bench": {"name": 5}}
    members, refused = members_of(crew.known, VERSION, METHOD)
    assert [one.offer.name for one in members] == ["good"]
    assert "worker old runs ondevice-bench 1.2.2 (method 2), this is 1.2.3" in refused[0]
    assert [line.split()[1] for line in refused[1:]] == ["theirs", "odd"]


def test_a_worker_of_another_version_lacks_what_every_cell_takes():
    """Also the scheduler itself never gives it a cell."""
    takes = needed("cpu", "cpu", VERSION, METHOD)
    assert not takes.keys() <= resources(offer("old", version="1.2.2")).keys()


def test_what_is_no_offer_is_none():
    assert read_offer(None) is None
    assert read_offer({"name": "a", "version": "1"}) is None
