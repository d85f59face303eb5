"""Real schedulers and workers: nothing is lost and nothing counts twice, whatever dies."""

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from harness.core.errors import DeviceError
from harness.fleet.merge import merge_paths
from harness.fleet.scheduling import crew as crew_module
from harness.fleet.scheduling.crew import Came, open_crew
from harness.fleet.scheduling.engine import load_engine
from harness.fleet.scheduling.gathering import Asked, End, gather
from harness.fleet.scheduling.security import scheduler_address
from tests.fleet.scheduling.processes import Fleet, fleet, null_cells, start

pytest.importorskip("distributed", reason="pip install 'ondevice-bench[fleet]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="ends processes by signals"),
]

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def cells():
    return null_cells(200)


def start_workers(one: Fleet, *words: str, names=NAMES) -> list[Path]:
    folders = [one.worker(name, *words) for name in names]
    for name in names:
        one.wait_for(name, f"worker {name} at")
    return folders


def gathered(one: Fleet, cells, place="any", **more):
    """Gather into a folder; returns what came and what was said."""
    said: list[str] = []
    asked = Asked(cells, place, one.folder / "gathered", **({"workers": len(NAMES)} | more))
    with open_crew(scheduler_address(one.address)) as crew:
        return gather(crew, asked, lambda what, done, total: None, said.append), said


def measured(folders) -> Counter:
    """How often each cell was measured, over all workers."""
    files = [folder / "measured.txt" for folder in folders]
    return Counter(line for file in files if file.exists() for line in file.read_text().split())


def when(condition, deed) -> threading.Thread:
    """Do something in a thread, once a condition holds."""
    done = threading.Event()

    def wait():
        while not condition():
            if done.wait(0.02):
                return
        deed()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def count(folder: Path) -> int:
    return len(list(folder.glob("result-*.json")))


def test_two_hundred_cells_of_four_workers(cells, tmp_path):
    """Each cell once with any; on each machine once with each; told again, nothing at all."""
    with fleet(tmp_path / "fleet") as one:
        folders = start_workers(one)
        found, _ = gathered(one, cells)
        assert (len(found.results), found.losses) == (200, ())
        assert set(measured(folders).values()) == {1}
        assert all(count(folder) for folder in folders)
        found, _ = gathered(one, cells, "each")
        assert (len(found.results), found.losses) == (800, ())
        assert (
            sum(measured(folders).values()) == 800
        )  # what any had measured is not asked for again
        again, _ = gathered(one, cells, "each")
        assert len(again.results) == 800
        assert sum(measured(folders).values()) == 800
    assert len(merge_paths([one.folder / "gathered"]).document.sources) == 800


def test_a_worker_killed_in_the_middle_costs_what_it_measured(cells, tmp_path):
    """With any its cells go to others; with each the machine's rows say what was lost."""
    with fleet(tmp_path / "fleet") as one:
        folders = start_workers(one, "seconds=0.02")
        when(lambda: count(folders[1]) > 5, one.workers["b"].kill)
        found, said = gathered(one, cells)
        assert (len(found.results), found.losses, found.end) == (200, (), End.DONE)
        assert "worker b is gone" in said
        twice = [name for name, times in measured(folders).items() if times > 1]
        assert len(twice) <= 2  # what it was at, and what it had not yet handed over
        when(lambda: count(one.folder / "gathered") > 260, one.workers["c"].kill)
        found, said = gathered(one, cells, "each", workers=3, grace_s=1.0)
        assert found.end == End.DONE
        assert "worker c is gone" in said
        assert {loss.name for loss in found.losses} == {"c"}
        by_machine = Counter(path.name for path in found.results)
        assert set(by_machine.values()) == {1}


def test_a_worker_that_comes_back_measures_what_its_machine_lacks(cells, tmp_path):
    """The results on its disk are not measured again; nothing is lost."""
    with fleet(tmp_path / "fleet") as one:
        folders = start_workers(one, "seconds=0.02")

        def restart():
            one.workers["b"].kill()
            one.workers["b"].wait()
            one.worker("b")

        when(lambda: count(folders[1]) > 10, restart)
        found, said = gathered(one, cells[:60], "each")
        assert (len(found.results), found.losses) == (240, ())
        assert "worker b is gone" in said


def test_a_cell_that_kills_its_workers_costs_four_and_no_other_cell(cells, tmp_path):
    """Cells that wait at those workers go elsewhere, though dask counts them as well."""
    with fleet(tmp_path / "fleet") as one:
        start_workers(one, "dies=3", "seconds=0.05", names="abcdef")
        found, said = gathered(one, cells[:60], workers=6)
        assert (len(found.results), len(found.losses)) == (59, 1)
        assert "4 workers were lost" in found.losses[0].reason
        assert sum(line.endswith("is gone") for line in said) == 4


def test_a_scheduler_killed_in_the_middle_loses_no_result(cells, tmp_path):
    """Workers finish what they measure and end; their folders merge; a new scheduler goes on."""
    with fleet(tmp_path / "fleet") as one:
        folders = start_workers(one, "seconds=0.02")
        when(lambda: count(one.folder / "gathered") > 20, one.scheduler.kill)
        found, _ = gathered(one, cells)
        assert found.end == End.SCHEDULER_LOST
        assert len(found.results) + len(found.losses) == 200
        for name in NAMES:
            assert one.workers[name].wait(30) == 4
            assert "bench merge" in one.log(name)
        on_disk = {path.name for folder in folders for path in folder.glob("result-*.json")}
        assert set(measured(folders).values()) == {1}
        assert len(on_disk) == sum(measured(folders).values())
        everything = merge_paths([one.folder / "gathered", *folders])
        assert len(everything.document.sources) == len(on_disk)
        assert everything.problems == ()


def test_who_lies_and_who_is_of_another_version(cells, tmp_path):
    """The one that lies costs its own rows, and the other one is named and not asked."""
    with fleet(tmp_path / "fleet") as one:
        start_workers(one, names=("a",))
        start_workers(one, f"machine={'f' * 16}", names=("liar",))
        old = start_workers(one, "version=0.0.1", names=("old",))
        found, said = gathered(one, cells[:20], "each", workers=2)
        assert (len(found.results), len(found.losses)) == (20, 20)
        assert {loss.name for loss in found.losses} == {"liar"}
        assert all("announced machine ffff" in loss.reason for loss in found.losses)
        assert any(line.startswith("worker old runs ondevice-bench 0.0.1") for line in said)
        assert measured(old) == {}


def test_a_worker_runs_nothing_else(tmp_path):
    """Code of others is answered by a refusal; the worker stays, and measures."""
    with fleet(tmp_path / "fleet") as one:
        start_workers(one, names=("a",))
        engine = load_engine()
        with engine.Client(one.address, set_as_default=False, timeout=20) as client:
            mark = tmp_path / "mark"
            for deed in (lambda: mark.touch(), mark.touch, os.getcwd):
                with pytest.raises(RuntimeError, match="cells of plans only"):
                    client.submit(deed, pure=False).result(timeout=20)
            with pytest.raises(Exception, match="disallowed"):
                client.run(os.getcwd)
            with pytest.raises(Exception, match="disallowed"):
                client.upload_file(__file__)
            assert not mark.exists()
        found, _ = gathered(one, null_cells(3), workers=1)
        assert len(found.results) == 3


def test_an_answer_makes_nothing_here_either(tmp_path):
    """A worker that is none of ours answers with an object: refused, and no cell hangs."""
    evil = "from distributed.cli.dask_worker import main; main()"
    with fleet(tmp_path / "fleet") as one:
        words = ("--no-nanny", "--no-dashboard", "--nthreads", "1", "--resources", "bench=1")
        log = one.folder / "evil.log"
        one.workers["evil"] = start(log, "-c", evil, one.address, *words)
        one.wait_for("evil", "Registered to")
        with open_crew(scheduler_address(one.address)) as crew:
            future = crew.client.submit(range, 3, key="bench-x-any-1", resources={"bench": 1})
            crew._futures[future.key] = future
            future.add_done_callback(crew._ended)
            while not isinstance(event := crew.events.get(timeout=30), Came):
                pass
        assert event.text is None
        assert "refused: builtins.range" in event.problem


def test_no_scheduler_is_an_error_with_a_way_out(monkeypatch):
    monkeypatch.setattr(crew_module, "CONNECT_S", 1.0)
    with (
        pytest.raises(DeviceError, match="no scheduler answers"),
        open_crew(scheduler_address("tcp://127.0.0.1:9")),
    ):
        pass


def test_ctrl_c_at_a_worker_ends_it_and_its_cell_goes_elsewhere(cells, tmp_path):
    with fleet(tmp_path / "fleet") as one:
        start_workers(one, "seconds=0.3", names=("a", "b"))
        when(
            lambda: count(one.folder / "gathered") > 2,
            lambda: one.workers["a"].send_signal(signal.SIGINT),
        )
        found, said = gathered(one, cells[:12], workers=2)
        assert (len(found.results), found.losses) == (12, ())
        assert one.workers["a"].wait(30) == 130
        assert "worker a is gone" in said
