"""Other machines are reached with certificates of the fleet's own authority, and not without."""

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.core.errors import DeviceError
from harness.fleet.scheduling import crew as crew_module
from harness.fleet.scheduling.crew import open_crew
from harness.fleet.scheduling.gathering import Asked, gather
from harness.fleet.scheduling.security import scheduler_address
from tests.fleet.scheduling.authority import certificates
from tests.fleet.scheduling.processes import fleet, null_cells

pytest.importorskip("distributed", reason="pip install 'ondevice-bench[fleet]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
]
HOST = "10.213.77.1"  # of the network of namespaces


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls") / "theirs")


def of_scheduler(files: Path) -> tuple[str, ...]:
    names = {"--tls-ca-file": "ca", "--tls-cert": "cert", "--tls-key": "key"}
    return tuple(word for flag, name in names.items() for word in (flag, str(files / name)))


def of_worker(files: Path) -> tuple[str, ...]:
    return tuple(f"{name}={files / name}" for name in ("ca", "cert", "key"))


def address(text: str, files: Path):
    return scheduler_address(text, files / "ca", files / "cert", files / "key")


def quiet(what: str, done: int, total: int) -> None:
    """Say nothing."""


def test_a_fleet_with_certificates_and_who_has_none_of_them(ours, theirs, tmp_path, monkeypatch):
    """Neither a worker nor who asks is taken with those of another authority."""
    monkeypatch.setattr(crew_module, "CONNECT_S", 3.0)
    with fleet(tmp_path / "fleet", *of_scheduler(ours)) as one:
        one.worker("a", *of_worker(ours))
        one.worker("stranger", *of_worker(theirs))
        one.wait_for("a", "worker a at tls://")
        with open_crew(address(one.address, ours)) as crew:
            found = gather(crew, Asked(null_cells(3), "each", tmp_path / "out"), quiet, print)
        assert (len(found.results), found.losses) == (3, ())
        with (
            pytest.raises(DeviceError, match="is not taken"),
            open_crew(address(one.address, theirs)),
        ):
            pass
        plain = scheduler_address(f"tcp{one.address[3:]}")
        with pytest.raises(DeviceError, match="no scheduler answers"), open_crew(plain):
            pass
        assert one.workers["stranger"].wait(60) != 0
        assert not list((one.folder / "out-stranger").glob("result-*"))


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespaces():
    """Four networks of their own, with a way to this machine and none to the internet."""
    names = [f"bench-{os.getpid() % 10000}-{number}" for number in range(4)]
    bridge = f"bb{os.getpid() % 10000}"
    with ExitStack() as stack:
        try:
            ip("link", "add", bridge, "type", "bridge")
            stack.callback(ip, "link", "del", bridge)
            ip("addr", "add", f"{HOST}/24", "dev", bridge)
            ip("link", "set", bridge, "up")
            for number, name in enumerate(names):
                ip("netns", "add", name)
                stack.callback(ip, "netns", "del", name)
                outer = f"{bridge}v{number}"
                ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name)
                ip("link", "set", outer, "master", bridge, "up")
                ip("-n", name, "addr", "add", f"10.213.77.{number + 2}/24", "dev", "eth0")
                ip("-n", name, "link", "set", "eth0", "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield names


def test_four_workers_in_networks_of_their_own(ours, namespaces, tmp_path):
    """Each has another address; plain tcp is refused before anything is sent."""
    cells = null_cells(40)
    with fleet(tmp_path / "fleet", *of_scheduler(ours), host=HOST) as one:
        for name in namespaces:
            one.worker(name, *of_worker(ours), before=("ip", "netns", "exec", name))
        for name in namespaces:
            one.wait_for(name, f"worker {name} at tls://{HOST}")
        with open_crew(address(one.address, ours)) as crew:
            hosts = {worker.rpartition(":")[0] for worker in crew.workers()}
            asked = Asked(cells, "each", tmp_path / "out", workers=4)
            found = gather(crew, asked, quiet, print)
        assert hosts == {f"tls://10.213.77.{number}" for number in range(2, 6)}
        assert (len(found.results), found.losses) == (160, ())
