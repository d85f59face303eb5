"""Which addresses are taken, and that no message makes anything but plain values and our task."""

import os
import pickle
from dataclasses import replace

import pytest

from harness.core.errors import DeviceError, StorageError, UsageError
from harness.fleet.scheduling.guard import OF_WORKERS, PLAIN, ForeignObjectError, only
from harness.fleet.scheduling.security import scheduler_address
from harness.fleet.scheduling.task import run_cell


@pytest.mark.parametrize(
    "text", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786", "tcp://127.9.9.9:5"]
)
def test_this_machine_needs_no_certificates(text):
    assert scheduler_address(text).is_local


def test_a_worker_listens_where_its_scheduler_is():
    """Behind a loopback nobody else reaches it."""
    assert scheduler_address("tcp://127.0.0.1:8786").own_host() == "127.0.0.1"
    nowhere = scheduler_address("tcp://localhost:8786")
    with pytest.raises(DeviceError, match="no way to"):
        replace(nowhere, text="tls://nowhere.invalid:8786").own_host()


@pytest.mark.parametrize("text", ["tcp://10.0.0.5:8786", "tcp://shelf:8786", "tcp://0.0.0.0:8786"])
def test_another_machine_does(text):
    """A name may be anybody's; what is told says why."""
    with pytest.raises(UsageError, match="can run code"):
        scheduler_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.5:8786", "tcp://a", "tcp://a:0", "tcp://a:99999", "ucx://a:1", "tcp://-o:x"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError, match="is no address"):
        scheduler_address(text)


def test_tls_needs_all_three_files_and_reads_them(tmp_path):
    files = [tmp_path / name for name in ("ca", "cert", "key")]
    with pytest.raises(UsageError, match="needs certificates"):
        scheduler_address("tls://10.0.0.5:8786", files[0], files[1])
    with pytest.raises(StorageError, match="cannot be read"):
        scheduler_address("tls://10.0.0.5:8786", *files)
    for file in files:
        file.touch()
    with pytest.raises(UsageError, match="holds no certificates"):
        scheduler_address("tls://10.0.0.5:8786", *files)


def test_certificates_without_tls_are_a_mistake(tmp_path):
    with pytest.raises(UsageError, match="does not use"):
        scheduler_address("tcp://127.0.0.1:8786", tmp_path / "ca")


class Evil:
    def __reduce__(self):  # noqa: D105
        return os.getcwd, ()


@pytest.mark.parametrize("value", [Evil(), os.path.join, ValueError("x"), range(3)])
def test_a_message_makes_nothing_else(value):
    """Refused before it is looked up, by whatever reads; without the guard all as ever."""
    text = pickle.dumps(value)
    with only(OF_WORKERS), pytest.raises(ForeignObjectError, match="refused"):
        pickle.loads(text)
    pickle.loads(text)


def test_plain_values_and_the_task_pass():
    value = {"a": [1, 2.5, None, (b"x", {"y"})]}
    with only(OF_WORKERS):
        assert pickle.loads(pickle.dumps(value)) == value
        assert pickle.loads(pickle.dumps(run_cell)) is run_cell
    with only(PLAIN), pytest.raises(ForeignObjectError):
        pickle.loads(pickle.dumps(run_cell))


def test_two_guards_allow_what_both_do():
    with only(OF_WORKERS), only(PLAIN), pytest.raises(ForeignObjectError):
        pickle.loads(pickle.dumps(run_cell))
    assert pickle.loads(pickle.dumps(Evil())) == os.getcwd()  # noqa: PTH109
