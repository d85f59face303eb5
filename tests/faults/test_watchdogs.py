"""Silent workers: how long each phase may take, what ends them, and what the row is told."""

import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.cli.signals import end_as_with_ctrl_c
from harness.core.errors import WorkerError
from harness.machine.process import worker as worker_module
from harness.machine.process.ending import ended_error, last_lines
from harness.machine.process.phase import last_phase, without_phases
from harness.machine.process.worker import Worker
from harness.runner.loop.limits import LEAST_S, open_limit, sample_limit, turns_limit, warm_limit
from harness.runner.plan import make_plan
from harness.runner.plan.runtimes import LLAMA
from harness.runner.settings import Settings
from harness.runner.settings.load import load_settings

FAULTY = "tests.machine.process.faulty_worker"
LOG = "one\n\n\x1ephase: creating the session\nort: two\n\n\x1ephase: first run\nthree\n"


def group_of(**others):
    usual = {"quant": ("int4",), "threads": ("2",), "prompt": (128,), "gen": (32,)}
    settings = Settings(model=("smollm2-135m",), **{**usual, **others})
    return make_plan(settings, usable_threads=2).groups[0]


def limits(group, settings):
    test = group.workloads[0]
    return [limit(group, settings, test) for limit in (open_limit, warm_limit, sample_limit)]


def test_a_phase_may_take_what_it_should_many_times():
    """A pass of smollm2-135m at int4 is below a second: no phase has the ten minutes of before."""
    group = group_of()
    for limit_s in limits(group, Settings()):
        assert LEAST_S < limit_s < 120.0
    longer = group_of(depth=(2048,), batch=(8,))
    for limit_s, longer_s in zip(
        limits(group, Settings()), limits(longer, Settings()), strict=True
    ):
        assert limit_s < longer_s
    assert turns_limit([group, longer], Settings()) == max(
        limit(longer, Settings(), test)
        for test in longer.workloads
        for limit in (open_limit, warm_limit, sample_limit)
    )


def test_a_time_that_is_asked_for_holds_for_every_phase():
    asked = load_settings(None, None, None, timeout=90.0, model=("smollm2-135m",))
    assert limits(group_of(), asked) == [90.0] * 3


def test_where_nothing_is_guessed_the_plan_has_its_own_time():
    """Another runtime loads in its own way."""
    other = replace(group_of(), runtime=LLAMA)
    assert limits(other, Settings()) == [Settings().timeout] * 3


def test_the_row_of_a_hang_has_its_phase_and_the_end_of_its_log():
    """A real process, which hangs as one that creates a session would."""
    with Worker.start(FAULTY) as worker:
        worker.ask("pid", 60.0)
        with pytest.raises(WorkerError) as caught:
            worker.ask("hang_in_a_phase", 0.2, phase="creating the session", words="waiting for it")
    assert caught.value.status == "timeout"
    told = "gave no answer within 0.2 s at creating the session and was ended | waiting for it"
    assert told in caught.value.problem


def test_the_row_of_a_crash_has_its_phase():
    error = ended_error(
        "worker 'open'",
        -signal.SIGKILL,
        log_tail=without_phases(LOG),
        timeout_s=None,
        killed_for_memory=False,
        phase=last_phase(LOG),
    )
    assert "(SIGKILL at first run) | one | ort: two | three" in error.problem


def test_a_log_without_phases_is_what_others_wrote():
    assert last_lines(without_phases(LOG)) == " | one | ort: two | three"
    assert last_phase("nothing") == ""


class Answered:
    """An event that nobody sets, and a clock that its waits move on.

    Attributes:
        late: waits, by number, that take a minute longer: the process was stopped.
    """

    def __init__(self, late=()):
        self.waits, self.late, self.now_s = [], late, 0.0

    def wait(self, timeout_s):
        self.now_s += timeout_s + 60.0 * (len(self.waits) in self.late)
        self.waits.append(timeout_s)
        return False

    def clock(self):
        return self.now_s


@pytest.mark.parametrize(
    ("phases", "late", "parts"),
    [
        (["", "", "", ""], (), 4),
        (["importing", *["first run"] * 5], (), 6),  # a new phase has as long again
        ([""] * 6, (1, 3), 6),  # stopped twice: those parts do not count
    ],
)
def test_a_silent_worker_is_ended_at_its_time(phases, late, parts, monkeypatch):
    """Of 8 s, in four parts of 2 s."""
    killed, told, answered = [], iter(phases), Answered(late)
    monkeypatch.setattr(worker_module, "kill_group", killed.append)
    watched = SimpleNamespace(_phase=lambda: next(told), _process="the child", _timeout_s=None)
    Worker._watch(watched, 8.0, answered, answered.clock)
    assert answered.waits == [2.0] * parts
    assert (killed, watched._timeout_s) == (["the child"], 8.0)


@pytest.mark.parametrize(
    "words",
    [
        "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.",
        "BLAS : Program is Terminated. Because you tried to allocate too many memory regions.",
        "OpenBLAS: malloc failed in gemm_driver",
        "mmap failed: Cannot allocate memory",
    ],
)
def test_words_of_a_failed_allocation_are_out_of_memory(words):
    """The first is what numpy leaves under a limit on address space, with exit code 1."""
    error = ended_error("x", 1, log_tail=words, timeout_s=None, killed_for_memory=False)
    assert error.status == "out_of_memory"


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
def test_a_limit_on_address_space_is_out_of_memory():
    """200 MiB are enough to answer, and not for 16 GiB."""
    with Worker.start(FAULTY) as worker, pytest.raises(WorkerError) as caught:
        worker.ask("take_within", 60.0, limit_bytes=200 * 2**20, size_bytes=16 * 2**30)
    assert caught.value.status == "out_of_memory"


@pytest.fixture
def handlers():
    """Whatever handlers a test leaves are those of before."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    yield before
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sent", ["SIGTERM", "SIGHUP"])
def test_whoever_asks_for_an_end_gets_one_as_with_ctrl_c(sent, handlers):
    """A cancelled job, or a closed terminal; in a session that `nohup` began too."""
    signal.signal(getattr(signal, sent), signal.SIG_DFL)
    end_as_with_ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(getattr(signal, sent))


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_nohup_stays_nohup(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_as_with_ctrl_c()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
