"""Shared by every test: a tiny checkpoint, one cache, the devices that tests need, the budget."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from harness.devices.probe import Probe, probe_row
from harness.devices.table import find_row
from harness.machine.watch import sole
from harness.store import cache as store_cache
from harness.store import exported as store_exported
from harness.store import prepacked as store_prepacked
from tests.inline_worker import InlineWorker
from tests.tiny import write_checkpoint


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a two-layer Llama with random weights; one for all processes."""
    folder = session_folder(tmp_path_factory) / "models" / "tiny"
    with FileLock(folder.parents[1] / "models.lock"):
        return folder if folder.exists() else write_checkpoint(folder)


@pytest.fixture
def make_tiny() -> Callable[[Path], Path]:
    """Write another such folder where a test wants it."""
    return write_checkpoint


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artifact cache for all processes of the session: each tiny model is built once."""
    folder = session_folder(tmp_path_factory) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def built_here() -> Iterator[None]:
    """Build, and look into exports, without a process a time; tests of the store have theirs."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (store_cache, store_exported, store_prepacked):
            patch.setattr(module, "Worker", InlineWorker)
        yield


@pytest.fixture(scope="session", autouse=True)
def measured_side_by_side() -> Iterator[None]:
    """Let processes of pytest-xdist measure at once: what they time is looked at by nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sole, "lock_folder", lambda cache: cache / f"locks-{os.getpid()}")
        yield


def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of pytest-xdist share; each has one of its own inside."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require-device`, `--require-browser`: fail where one is missing; `--budget-s N`: grown."""
    parser.addoption("--require-device", default="", help="rows that must work here, simulated too")
    parser.addoption("--require-browser", action="store_true", help="Chromium must be on PATH")
    parser.addoption("--budget-s", type=float, help="most that all tests together may take")


def pytest_configure(config: pytest.Config) -> None:
    """Let interrupts through, and add durations up in the process that sees every test.

    What a shell starts behind `&` ignores Ctrl-C, and so would all the children that tests send it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--budget-s") and "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Budget(config.getoption("--budget-s")))


class Budget:
    """Fails a session whose tests together took longer than `seconds`, whatever they found."""

    def __init__(self, seconds: float) -> None:
        """Begin at 0."""
        self.seconds = seconds
        self.spent_s = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of one test."""
        self.spent_s += report.duration

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Turn a session that passed into one that failed."""
        if self.spent_s > self.seconds and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was spent, and what to do where it is too much."""
        terminalreporter.write_line(f"budget: {self.spent_s:.0f} s of {self.seconds:.0f} s spent")
        if self.spent_s > self.seconds:
            terminalreporter.write_line(
                "the tests are over their budget; try: --durations=30 shows the slowest of them"
            )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a device test whose row does not work here, or fail it where the row is required."""
    required = item.config.getoption("--require-device").split(",")
    for marker in item.iter_markers("device"):
        (key,) = marker.args
        found = device(key)
        if not found.works:
            reason = f"device {key}: {found.state}: {found.problem}"
            if key in required:
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@cache
def device(key: str) -> Probe:
    """Ask a row once whether it works, on hardware or simulated."""
    return probe_row(find_row(key), allow_simulated=True)
