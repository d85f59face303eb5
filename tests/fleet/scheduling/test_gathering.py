"""Cells to workers and results back: nothing is lost, and nothing counts twice."""

import json
import queue

import msgspec
import pytest

from harness.core.errors import DeviceError, StorageError
from harness.core.version import installed_version
from harness.fleet.cells import parse_cell
from harness.fleet.scheduling import gathering
from harness.fleet.scheduling.crew import Came, Gone
from harness.fleet.scheduling.gathering import Asked, End, gather
from harness.fleet.scheduling.task import Reply
from harness.results.document import encode_document, read_document
from harness.results.schema import METHOD_VERSION
from tests.fleet.scheduling.null_worker import NULL, null_document, offer_of
from tests.fleet.scheduling.processes import null_cells
from tests.fleet.scheduling.recording import Recording

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def cells():
    return null_cells(6)


@pytest.fixture
def crew():
    """Three workers that answer at once."""
    one = Recording(answer=Answers())
    for name in NAMES:
        one.join(offer_of(name, {}))
    return one


class Answers:
    """What stands for the workers: each answer is made once, and may come several times."""

    def __init__(self, times=1, change=lambda reply: reply):
        self.times, self.change = times, change

    def __call__(self, crew, order):
        for _ in range(self.times):
            crew.events.put(Came(order.key, self.text(order)))

    def text(self, order):
        name = order.address.removeprefix("tcp://").partition(":")[0] or "a"
        document = null_document(parse_cell(order.text.encode()), name)
        reply = Reply(
            cell=order.cell,
            worker=name,
            machine=document.plan.cell.machine,
            exit_code=0,
            file=f"result-{order.cell}-{document.plan.cell.machine}.json",
            result=encode_document(document).decode(),
        )
        return msgspec.json.encode(self.change(reply)).decode()


def gathered(crew, cells, out, place="each", **more):
    said = []
    asked = Asked(cells, place, out, workers=len(crew.known), **({"wait_s": 0.0} | more))
    return gather(crew, asked, lambda what, done, total: None, said.append), said


@pytest.mark.parametrize(("place", "count"), [("each", 18), ("any", 6)])
def test_every_result_lies_in_the_folder_under_its_name(crew, cells, tmp_path, place, count):
    found, _ = gathered(crew, cells, tmp_path / "out", place)
    assert (len(found.results), found.losses, found.end) == (count, (), End.DONE)
    marks = {read_document(path).plan.cell for path in found.results}
    assert {mark.hash for mark in marks} == {cell.hash for cell in cells}
    assert sorted((tmp_path / "out").iterdir()) == sorted(found.results)


def test_what_is_delivered_three_times_counts_once(crew, cells, tmp_path):
    crew.answer.times = 3
    found, _ = gathered(crew, cells, tmp_path / "out")
    assert (len(found.results), len(set(found.results)), found.losses) == (18, 18, ())


def test_the_same_again_asks_for_nothing(crew, cells, tmp_path):
    gathered(crew, cells, tmp_path / "out")
    crew.orders.clear()
    found, _ = gathered(crew, cells, tmp_path / "out")
    assert (len(found.results), crew.orders) == (18, {})


def test_a_lost_scheduler_keeps_what_came(crew, cells, tmp_path):
    """Half of the answers come; the rest are losses with a reason, and the folder is good."""
    answer, given = crew.answer, []

    def half(engine, order):
        given.append(order)
        answer(engine, order) if len(given) <= 9 else engine.events.put(Gone())

    crew.answer = half
    found, _ = gathered(crew, cells, tmp_path / "out")
    assert found.end == End.SCHEDULER_LOST
    assert (len(found.results), len(found.losses)) == (9, 9)
    assert {loss.reason for loss in found.losses} == {
        "the scheduler was lost before its result came"
    }
    crew.answer, crew.orders, crew.events = answer, {}, queue.SimpleQueue()
    again, _ = gathered(crew, cells, tmp_path / "out")
    assert (len(again.results), again.losses, len(crew.orders)) == (18, (), 9)


def test_an_interrupt_keeps_what_came(crew, cells, tmp_path, monkeypatch):
    taken = []

    def interrupted(reply, out):
        if len(taken) == 4:
            raise KeyboardInterrupt
        taken.append(reply)
        return keep(reply, out)

    keep = gathering.keep
    monkeypatch.setattr(gathering, "keep", interrupted)
    found, _ = gathered(crew, cells, tmp_path / "out")
    assert (found.end, len(found.results), len(found.losses)) == (End.INTERRUPTED, 4, 14)


def test_a_full_disk_ends_it_with_what_is_there(crew, cells, tmp_path, monkeypatch):
    def full(reply, out):
        raise StorageError("no space", "make some")

    monkeypatch.setattr(gathering, "keep", full)
    found, _ = gathered(crew, cells, tmp_path / "out")
    assert (found.end, found.results, len(found.losses)) == (End.STORAGE, (), 18)
    assert found.problem.problem == "no space"


def lie(**parts):
    return lambda reply: msgspec.structs.replace(reply, **parts)


def other_machine(reply):
    """Its result says that another machine has measured."""
    table = json.loads(reply.result)
    table["plan"]["cell"]["machine"] = "f" * 16
    table.pop("checksum", None)
    return msgspec.structs.replace(reply, result=json.dumps(table))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_machine, "announced machine"),
        (lie(machine="0" * 16), "is machine 0000000000000000"),
        (lie(cell="0" * 16), "answered another cell"),
        (lie(file="../../evil.json"), "sent no result"),
        (lie(file="result-0000000000000000-0000000000000000.json"), "sent no result"),
        (lie(result='{"schema": "bench.results"}'), "cannot be read"),
        (lie(result="{"), "cannot be read"),
        (lie(result=None, file=None, exit_code=2, said=("bench: no",)), "sent no result: no"),
    ],
)
def test_an_answer_that_lies_is_a_row_with_the_reason(crew, cells, tmp_path, change, reason):
    """Nothing of it becomes a file, and it costs its own cells only."""
    crew.answer.change = lambda reply: change(reply) if reply.worker == "b" else reply
    out = tmp_path / "out"
    found, _ = gathered(crew, cells, out)
    assert (len(found.results), len(found.losses)) == (12, 6)
    assert all(loss.name == "b" and reason in loss.reason for loss in found.losses)
    assert sorted(out.iterdir()) == sorted(found.results)
    assert not (tmp_path.parent / "evil.json").exists()


def test_what_is_no_answer_at_all_is_a_row_too(crew, cells, tmp_path):
    crew.answer = lambda engine, order: engine.events.put(Came(order.key, "\x00"))
    found, _ = gathered(crew, cells, tmp_path / "out")
    assert len(found.losses) == 18
    assert all("cannot be read" in loss.reason for loss in found.losses)


def test_a_damaged_result_of_before_is_asked_for_again(crew, cells, tmp_path):
    found, _ = gathered(crew, cells, tmp_path / "out")
    found.results[0].write_text("{")
    crew.orders.clear()
    again, _ = gathered(crew, cells, tmp_path / "out")
    assert len(again.results) == 18
    assert read_document(found.results[0]).records[0].reason == NULL


def test_a_worker_of_another_version_is_told_of_once(crew, cells, tmp_path):
    crew.join(offer_of("old", {"version": "0.0.1"}))
    found, said = gathered(crew, cells, tmp_path / "out")
    assert len(found.results) == 18
    assert said == [
        f"worker old runs ondevice-bench 0.0.1 (method {METHOD_VERSION}), this is"
        f" {installed_version()} (method {METHOD_VERSION}): not used"
    ]


def test_without_a_worker_nothing_begins(cells, tmp_path):
    with pytest.raises(DeviceError, match="no worker"):
        gathered(Recording(), cells, tmp_path / "out")


def test_a_worker_that_goes_and_comes_back_is_given_its_cells_again(crew, cells, tmp_path):
    """Of the machine that left nothing comes until it is there again."""
    answer, left = crew.answer, []

    def flaky(engine, order):
        if order.address == "tcp://b":
            left.append(order)
            if len(left) == 6:
                engine.leave("b")
                engine.join(offer_of("b", {}), "tcp://b:2")
            return
        answer(engine, order)

    crew.answer = flaky
    found, said = gathered(crew, cells, tmp_path / "out", grace_s=60.0)
    assert (len(found.results), found.losses) == (18, ())
    assert len(left) == 6
    assert said == ["worker b is gone"]
