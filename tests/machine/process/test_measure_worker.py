"""The worker parent against a child that goes wrong in every way it may."""

import itertools
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from harness.core.errors import EXIT_STORAGE, WorkerError
from harness.core.progress import Part, details_to, heard_by
from harness.machine.process.worker import Worker

MODULE = "tests.machine.process.faulty_worker"
LONG_S = 120.0  # no test waits this long; a hang would be reported as `timeout`
posix_only = pytest.mark.skipif(os.name != "posix", reason="posix signals and forks")


@pytest.fixture
def worker():
    with Worker.start(MODULE) as started:
        yield started


def failure(worker, do, timeout_s=LONG_S, **arguments):
    with pytest.raises(WorkerError) as caught:
        worker.ask(do, timeout_s, **arguments)
    return caught.value


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pid):
    """Bounded: a second between looks, at most a minute."""
    event = threading.Event()
    for _ in range(600):
        if not is_running(pid):
            return True
        event.wait(0.1)
    return False


def test_arguments_come_back(worker):
    arguments = {"text": "é\n\ud800", "numbers": [1, 2.5, None], "nested": {"a": True}}
    assert worker.ask("echo", LONG_S, **arguments) == arguments


def test_the_child_runs_in_a_process_group_of_its_own(worker):
    """Ctrl-C in the terminal signals the foreground group, which must not be the child's."""
    assert worker.ask("pid", LONG_S) == worker.pid != os.getpid()
    assert os.getpgid(worker.pid) == worker.pid
    assert os.getsid(worker.pid) == worker.pid


def test_nothing_that_is_printed_mixes_with_the_answers(worker):
    assert worker.ask("print_everywhere", LONG_S) == "the answer"
    assert worker.ask("echo", LONG_S, a=1) == {"a": 1}


def test_huge_replies_and_requests(worker):
    assert len(worker.ask("reply_much", LONG_S, size_bytes=10_000_000)) == 10_000_000
    assert worker.ask("count", LONG_S, values=list(range(1_000_000))) == 1_000_000


@posix_only
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGBUS", "SIGTERM"])
def test_a_signal_ends_the_child_as_crashed(worker, name):
    error = failure(worker, "kill", name=name)
    assert error.status == "crashed"
    assert name in error.problem


@posix_only
def test_a_native_crash_leaves_its_stack_in_the_message(worker):
    error = failure(worker, "crash_in_native_code")
    assert error.status == "crashed"
    assert "SIGSEGV" in error.problem
    assert "crash_in_native_code" in error.problem


@posix_only
def test_abort_is_crashed(worker):
    error = failure(worker, "abort")
    assert error.status == "crashed"
    assert "SIGABRT" in error.problem


@pytest.mark.parametrize(("do", "arguments"), [("leave", {"code": 0}), ("exit_politely", {})])
def test_an_end_without_an_answer_is_crashed(worker, do, arguments):
    error = failure(worker, do, **arguments)
    assert error.status == "crashed"
    assert "exit code 0" in error.problem


def test_a_torn_answer_is_no_answer(worker):
    error = failure(worker, "write_torn_answer")
    assert (error.status, "exit code 3" in error.problem) == ("crashed", True)


def test_a_hang_is_ended_by_the_watchdog(worker):
    worker.ask("pid", LONG_S)
    error = failure(worker, "hang", timeout_s=0.2)
    assert error.status == "timeout"
    assert "0.2 s" in error.problem
    assert not is_running(worker.pid)


def test_the_watchdog_ends_the_whole_group(worker):
    grandchild = worker.ask("leave_a_grandchild", LONG_S)
    assert is_running(grandchild)
    assert failure(worker, "hang", timeout_s=0.2).status == "timeout"
    assert wait_until_gone(grandchild)


@posix_only
def test_a_stopped_child_is_ended_by_the_watchdog(worker):
    worker.ask("pid", LONG_S)
    os.kill(worker.pid, signal.SIGSTOP)
    assert failure(worker, "pid", timeout_s=0.2).status == "timeout"


def test_close_ends_what_the_child_left_running():
    with Worker.start(MODULE) as worker:
        grandchild = worker.ask("leave_a_grandchild", LONG_S)
    assert wait_until_gone(grandchild)


@posix_only
def test_a_fork_that_holds_the_pipe_does_not_hide_the_end(worker):
    worker.ask("pid", LONG_S)
    assert failure(worker, "fork_and_leave", timeout_s=30).status == "crashed"


@pytest.mark.parametrize("do", ["run_out_of_memory", "native_allocation_failure"])
def test_memory_errors_are_out_of_memory_and_the_child_lives_on(worker, do):
    assert failure(worker, do).status == "out_of_memory"
    assert worker.ask("echo", LONG_S) == {}


@posix_only
def test_a_native_bad_alloc_is_out_of_memory(worker):
    assert failure(worker, "terminate_on_bad_alloc").status == "out_of_memory"


@pytest.mark.parametrize(
    ("do", "words"),
    [
        ("undecodable", "UnicodeDecodeError"),
        ("reply_nothing_json", "no JSON"),
        ("reply_not_a_number", "no JSON"),
        ("no_such_command", "knows no command"),
        ("count", "TypeError"),
    ],
)
def test_a_failing_command_is_failed_and_the_child_lives_on(worker, do, words):
    error = failure(worker, do)
    assert error.status == "failed"
    assert words in error.problem
    assert worker.ask("echo", LONG_S, a=1) == {"a": 1}


def test_our_own_errors_keep_their_sentences_and_exit_code(worker):
    error = failure(worker, "fail_on_purpose", code=EXIT_STORAGE)
    assert (error.problem, error.fix) == ("the disk is full", "free 3 GB")
    assert (error.exit_code, error.status) == (EXIT_STORAGE, "failed")
    inner = failure(worker, "fail_on_purpose", code=3)
    assert (inner.status, inner.exit_code) == ("timeout", 3)


def test_messages_name_no_folder(worker):
    problem = failure(worker, "name_a_path").problem
    assert "model.onnx failed" in problem
    assert "secret" not in problem
    assert os.path.expanduser("~") + "/" not in problem  # noqa: PTH111


def test_a_module_that_cannot_be_imported_fails_each_command():
    with Worker.start("no.such.module") as worker:
        for _ in range(2):
            assert "ModuleNotFoundError" in failure(worker, "pid").problem


def test_an_interpreter_that_is_not_there_is_an_error_of_ours():
    with pytest.raises(WorkerError, match="cannot be started"):
        Worker.start(MODULE, python="/no/such/python")


def test_extra_variables_reach_the_child():
    with Worker.start(MODULE, env={"WORKER_TEST": "é"}) as worker:
        assert worker.ask("variable", LONG_S, name="WORKER_TEST") == "é"
        assert worker.ask("variable", LONG_S, name="PATH") == os.environ["PATH"]


def test_a_dead_worker_says_so_again_and_a_closed_one_too(worker):
    failure(worker, "leave", code=7)
    assert "exit code 7" in failure(worker, "pid").problem
    worker.close()
    worker.close()
    assert "closed worker" in failure(worker, "pid").problem


def test_close_does_not_wait_for_a_command_of_a_failed_block():
    def block(worker):
        with worker:
            worker.ask("pid", LONG_S)
            raise RuntimeError("ours")

    worker = Worker.start(MODULE)
    with pytest.raises(RuntimeError, match="ours"):
        block(worker)
    assert not is_running(worker.pid)


def test_the_group_is_ended_where_the_system_has_no_waitid(monkeypatch):
    """Windows, and macOS before Python 3.13: the child is reaped first."""
    monkeypatch.delattr(os, "waitid", raising=False)
    with Worker.start(MODULE) as worker:
        grandchild = worker.ask("leave_a_grandchild", LONG_S)
    assert wait_until_gone(grandchild)


def test_two_workers_take_turns():
    with Worker.start(MODULE) as one, Worker.start(MODULE) as two:
        for turn in range(3):
            assert one.ask("echo", LONG_S, turn=turn) == {"turn": turn}
            assert two.ask("echo", LONG_S, turn=-turn) == {"turn": -turn}


def test_a_worker_outlives_the_thread_that_started_it():
    """Linux tells a child of the end of the thread that started it, not of the process."""
    started = []

    def start():
        started.append(Worker.start(MODULE))
        started[0].ask("pid", LONG_S)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with started[0] as worker:
        assert worker.ask("pid", LONG_S) == worker.pid


@posix_only
def test_an_interrupt_of_the_parent_ends_the_child(worker):
    worker.ask("pid", LONG_S)
    interrupt = threading.Timer(0.2, os.kill, args=(os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        worker.ask("hang", LONG_S)
    interrupt.join()
    worker.close()
    assert not is_running(worker.pid)


PARENT = """
import sys, threading
sys.path[:0] = {path!r}
from harness.core.progress import Part, details_to, heard_by
from harness.machine.process.worker import Worker

def work():
    worker = Worker.start({module!r})
    print(worker.ask("pid", 60), flush=True)
    if {do!r} != "idle":
        worker.ask({do!r}, 600, fifo={fifo!r})
    threading.Event().wait()

if {in_thread}:
    threading.Thread(target=work).start()
else:
    work()
"""


@posix_only
@pytest.mark.parametrize(
    ("do", "in_thread"),
    [
        ("idle", False),
        ("hang", False),
        ("hang", True),  # not watched by the kernel: the child sees the end of its requests
        pytest.param(
            "hang_holding_the_interpreter",
            False,
            marks=pytest.mark.skipif(
                not sys.platform.startswith("linux"),
                reason="only Linux ends a child that never looks",
            ),
        ),
    ],
)
def test_the_child_ends_when_its_parent_is_killed(do, in_thread, tmp_path):
    fifo = tmp_path / "begun"
    os.mkfifo(fifo)
    program = PARENT.format(
        path=sys.path, module=MODULE, do=do, in_thread=in_thread, fifo=str(fifo)
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        if do != "idle":
            fifo.read_bytes()  # ends when the command has begun
        assert is_running(child)
        parent.kill()
    assert wait_until_gone(child)


def test_the_child_may_be_started_by_hand():
    """Without an owner every request is answered, although the input ends at once."""
    requests = "".join(f'{{"do": "echo", "with": {{"n": {n}}}}}\n' for n in range(3))
    command = [sys.executable, "-m", "harness.machine.process.serve", MODULE]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, input=requests, capture_output=True, text=True, env=variables, check=True
    )
    assert done.stdout.splitlines() == [f'{{"reply": {{"n": {n}}}}}' for n in range(3)]


@posix_only
def test_the_parent_does_not_leave_anything_open():
    """Ten workers that end in different ways leave as many descriptors and threads as before."""

    def counts():
        return psutil.Process().num_fds(), threading.active_count()

    with Worker.start(MODULE) as worker:
        worker.ask("pid", LONG_S)
    before = counts()
    for do in itertools.islice(itertools.cycle(["pid", "exit_politely", "undecodable"]), 6):
        with Worker.start(MODULE) as worker:
            try:
                worker.ask(do, LONG_S)
            except WorkerError as error:
                assert error.status in ("crashed", "failed")  # noqa: PT017
    assert counts() == before


def test_the_child_imports_nothing_that_only_its_parent_uses():
    """A default run starts some twenty children; each of these would cost every one of them."""
    program = "import harness.machine.process.serve, sys; print(*sys.modules)"
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-S", "-c", program]  # without site, whose hooks are not ours
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=True)
    imported = set(done.stdout.split())
    assert "msgspec" in imported
    assert not imported & {"subprocess", "tempfile", "shutil", "random", "psutil", "numpy"}


def test_parts_of_a_command_come_before_its_answer_where_somebody_hears_them(worker):
    heard = []
    assert worker.ask("tell_of_parts", LONG_S, total=3) == "the answer"
    with heard_by(heard.append):
        assert worker.ask("tell_of_parts", LONG_S, total=3) == "the answer"
    assert heard == [Part(1, 3, "chunks"), Part(2, 3, "chunks"), Part(3, 3, "chunks")]


def test_an_interrupt_while_a_part_is_heard_ends_the_child(worker):
    """As it does while the parent waits."""

    def interrupt(part):
        raise KeyboardInterrupt

    with heard_by(interrupt), pytest.raises(KeyboardInterrupt):
        worker.ask("tell_of_parts", LONG_S, total=3)
    assert wait_until_gone(worker.pid)


def test_the_end_of_what_a_child_printed_is_a_detail():
    """Told when it is closed, and only where details are asked for."""
    told = []
    with details_to(told.append), Worker.start(MODULE) as worker:
        worker.ask("print_everywhere", LONG_S)
    assert told
    assert all(line.startswith(f"{MODULE} {worker.pid}: ") for line in told)
    with Worker.start(MODULE) as worker:
        worker.ask("print_everywhere", LONG_S)
