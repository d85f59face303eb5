"""The ledger: every cell is done once, or lost with a reason, whatever workers do."""

import random

import pytest

from harness.fleet.scheduling.jobs import Ledger
from harness.fleet.scheduling.placing import ANY, EACH
from tests.fleet.scheduling.recording import CUDA, METHOD, VERSION, Recording, cell, member

GRACE_S = 10.0


def ledger(crew, log=None):
    return Ledger(crew, VERSION, METHOD, GRACE_S, (log if log is not None else []).append)


def test_each_cell_goes_to_every_machine_that_has_its_device():
    crew = Recording()
    one = ledger(crew)
    cells = [cell(1), cell(2, "cuda")]
    one.begin(cells, EACH, (member("a"), member("b", CUDA)), (), 0.0)
    given = sorted((order.cell[-1], order.address) for order in crew.orders.values())
    assert given == [("1", "tcp://a"), ("1", "tcp://b"), ("2", "tcp://b")]


def test_a_machine_with_two_workers_measures_a_cell_once():
    crew = Recording()
    both = (member("a", machine="1" * 16), member("b", machine="1" * 16))
    ledger(crew).begin([cell(1)], EACH, both, (), 0.0)
    assert len(crew.orders) == 1


def test_any_leaves_the_worker_to_the_scheduler():
    crew = Recording()
    ledger(crew).begin([cell(1)], ANY, (member("a"), member("b")), (), 0.0)
    assert [order.address for order in crew.orders.values()] == [""]


def test_a_device_that_nobody_has_is_a_loss_at_once_with_each():
    one = ledger(Recording())
    one.begin([cell(1, "cuda")], EACH, (member("a"),), (), 0.0)
    assert [loss.reason for loss in one.losses] == ["no worker offers cuda"]


def test_a_device_that_nobody_has_is_waited_for_with_any():
    crew = Recording()
    one = ledger(crew)
    one.begin([cell(1, "cuda")], ANY, (member("a"),), (), 0.0)
    one.tick(GRACE_S - 1)
    assert (crew.orders, one.losses) == ({}, [])
    one.changed((member("a"), member("b", CUDA)), GRACE_S - 1)
    assert len(crew.orders) == 1
    one.tick(GRACE_S * 9)
    assert one.losses == []


def test_a_device_that_nobody_ever_had_is_no_lost_worker():
    one = ledger(Recording())
    one.begin([cell(1, "cuda")], ANY, (member("a"),), (), 0.0)
    one.tick(GRACE_S)
    assert [loss.reason for loss in one.losses] == ["no worker offers cuda"]


def test_what_a_lost_worker_had_waits_for_its_machine_and_goes_there():
    """With each, another machine already has the cell: only the same one makes up for it."""
    crew, said = Recording(), []
    one = ledger(crew, said)
    a, b = member("a"), member("b")
    one.begin([cell(1)], EACH, (a, b), (), 0.0)
    first = next(order for order in crew.orders.values() if order.address == "tcp://a")
    one.changed((b,), 1.0)
    assert said == ["worker a is gone"]
    back = member("a", address="tcp://a:2")
    one.changed((b, back), 2.0)
    again = [order for order in crew.orders.values() if order.address == "tcp://a:2"]
    assert [order.cell for order in again] == [first.cell]
    assert crew.cancelled == [first.key]


def test_a_machine_that_stays_away_is_a_row_with_the_reason():
    one = ledger(Recording())
    one.begin([cell(1)], EACH, (member("a"), member("b")), (), 0.0)
    one.changed((member("b"),), 1.0)
    one.tick(1.0 + GRACE_S)
    assert [(loss.name, loss.reason.partition(",")[0]) for loss in one.losses] == [
        ("a", "worker a was lost")
    ]
    assert len(one.open) == 1


def test_the_last_worker_with_a_device_is_waited_for():
    """With any, dask moves what a lost worker had; where none is left the row says so."""
    crew = Recording()
    one = ledger(crew)
    one.begin([cell(1, "cuda")], ANY, (member("a", CUDA), member("b", CUDA)), (), 0.0)
    one.changed((member("b", CUDA), member("c")), 1.0)
    assert (len(crew.orders), crew.cancelled) == (1, [])
    one.changed((member("c"),), 2.0)
    one.tick(2.0 + GRACE_S)
    assert [loss.reason.partition(",")[0] for loss in one.losses] == ["every worker was lost"]
    assert crew.cancelled == list(crew.orders)


def test_a_result_counts_once():
    one = ledger(Recording())
    one.begin([cell(1)], ANY, (member("a"),), (), 0.0)
    place = (cell(1).cell, "")
    assert [one.finished(place), one.finished(place)] == [True, False]
    one.lost(place, "late")
    assert (one.total, one.losses) == (1, [])


def test_what_is_there_is_not_asked_for_again():
    crew = Recording()
    one = ledger(crew)
    a, b = member("a"), member("b")
    one.begin([cell(1)], EACH, (a, b), {(cell(1).cell, a.offer.machine)}, 0.0)
    assert [order.address for order in crew.orders.values()] == ["tcp://b"]
    other = Recording()
    ledger(other).begin([cell(1)], ANY, (a, b), {(cell(1).cell, a.offer.machine)}, 0.0)
    assert other.orders == {}


def test_a_cell_whose_worker_was_stopped_goes_out_again():
    crew = Recording()
    one = ledger(crew)
    one.begin([cell(1)], ANY, (member("a"), member("b")), (), 0.0)
    (key,) = crew.orders
    one.took((cell(1).cell, ""), key, 1.0)
    assert len(crew.orders) == 2
    one.took((cell(1).cell, ""), key, 1.0)  # told twice
    assert len(crew.orders) == 2


def test_a_cell_that_takes_workers_down_goes_to_no_fifth():
    crew = Recording()
    one = ledger(crew)
    every = [member(name) for name in "abcdefg"]
    one.begin([cell(1), cell(2)], ANY, tuple(every), (), 0.0)
    for number in range(4):
        assert one.losses == []
        one.began(cell(1).cell, every[0].address)
        one.changed(tuple(every := every[1:]), float(number))
    assert [(loss.cell, loss.reason[:9]) for loss in one.losses] == [(cell(1).cell, "4 workers")]
    assert [place[0] for place in one.open] == [cell(2).cell]


def test_what_only_waited_at_lost_workers_goes_out_again():
    """Dask gives up what was assigned to workers that died, also where it was never begun."""
    crew = Recording()
    one = ledger(crew)
    one.begin([cell(1)], ANY, (member("a"),), (), 0.0)
    (key,) = crew.orders
    one.killed((cell(1).cell, ""), key, 1.0)
    assert (len(crew.orders), one.losses) == (2, [])


def test_a_result_ends_what_was_begun():
    """A worker that is lost later has not died of a cell that it had finished."""
    one = ledger(Recording())
    one.begin([cell(1), cell(2)], EACH, (member("a"),), (), 0.0)
    one.began(cell(1).cell, "tcp://a")
    one.finished((cell(1).cell, member("a").offer.machine))
    one.changed((), 1.0)
    assert not one.kills


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("place", [EACH, ANY])
def test_every_job_ends_once_whatever_happens(seed, place):
    """Workers come and go, results come late, twice, or not: the books balance."""
    chance = random.Random(seed)
    crew = Recording()
    one = ledger(crew)
    every = [member(name, *([CUDA] if name in "ab" else [])) for name in "abcd"]
    cells = [cell(number, chance.choice(["cpu", "cuda"])) for number in range(12)]
    one.begin(cells, place, tuple(every), (), 0.0)
    total = one.total
    for step in range(60):
        deed = chance.random()
        if deed < 0.3:
            one.changed(tuple(chance.sample(every, chance.randint(0, 4))), float(step))
        elif deed < 0.8 and crew.orders:
            job = one.job_of(chance.choice(list(crew.orders)))
            if job is not None:
                assert one.finished(job.place)
        elif one.open:
            key = chance.choice(list(one.open.values())).key
            one.took(one.job_of(key).place, key, float(step))
        one.tick(float(step))
        assert one.total == total
        assert one.done.isdisjoint({(loss.cell, loss.machine) for loss in one.losses})
    one.give_up("the end")
    assert not one.open
    assert len(one.done) + len(one.losses) == total
