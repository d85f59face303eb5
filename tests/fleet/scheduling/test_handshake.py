"""What is wrong with certificates is said in words, and before dask tries for half a minute."""

import shutil
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from harness.core.errors import DeviceError, UsageError
from harness.fleet.scheduling.security import check_handshake, scheduler_address
from tests.fleet.scheduling.authority import certificates, openssl

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes them")
NAMES = ("ca", "cert", "key")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("handshake") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("handshake") / "theirs")


def address(folder, text="tls://127.0.0.1:8786", **other):
    return scheduler_address(text, *(other.get(name, folder / name) for name in NAMES))


@contextmanager
def listening(folder):
    """A scheduler as far as its first byte: with certificates of a folder, or without TLS (None).

    Yields the port.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = threading.Thread(target=greet, args=(server, folder))
        one.start()
        yield server.getsockname()[1]
        one.join()


def greet(server, folder):
    plain, _ = server.accept()
    with plain, suppress(OSError):
        if folder is None:
            plain.sendall(b"dask says what it is")
            plain.recv(2048)
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca")
        context.load_cert_chain(folder / "cert", folder / "key")
        with context.wrap_socket(plain, server_side=True) as shaken:
            shaken.sendall(b"hello")


def test_files_of_one_side_are_what_dask_is_given(ours):
    found = address(ours, "tls://10.0.0.5:8786")
    assert not found.is_local
    security = found.security()
    assert security["require_encryption"]
    assert security["tls_worker_key"] == security["tls_client_key"] == str(ours / "key")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key": "ca.key"}, "key values mismatch"),
        ({"cert": "key", "key": "cert"}, "no certificate with its key"),
        ({"ca": "key"}, "holds no certificates"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(ours, wrong, said):
    with pytest.raises(UsageError, match=said) as caught:
        address(ours, **{name: ours / other for name, other in wrong.items()})
    assert "--tls-c" in caught.value.fix


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(ours):
    openssl(ours, "ec", "-in", "key", "-aes256", "-passout", "pass:word", "-out", "locked")
    with pytest.raises(UsageError, match="no certificate with its key"):
        address(ours, key=ours / "locked")


def test_who_has_the_certificates_of_the_fleet_is_taken(ours):
    with listening(ours) as port:
        check_handshake(address(ours, f"tls://127.0.0.1:{port}"))


def test_a_scheduler_of_another_authority_is_none_of_ours(ours, theirs):
    with listening(theirs) as port:
        found = replace(address(ours), text=f"tls://127.0.0.1:{port}")
        with pytest.raises(DeviceError, match=r"is not taken: .*\(--tls-ca\)"):
            check_handshake(found)


def test_a_certificate_that_the_scheduler_refuses_is_told_by_its_words(ours, theirs):
    with listening(ours) as port:
        found = address(theirs, f"tls://127.0.0.1:{port}", ca=ours / "ca")
        with pytest.raises(
            DeviceError, match=r"does not take our certificate: .*(unknown ca|decrypt)"
        ):
            check_handshake(found)


def test_a_scheduler_without_tls_is_said_to_be_one(ours):
    with listening(None) as port, pytest.raises(DeviceError, match="speaks no TLS"):
        check_handshake(address(ours, f"tls://127.0.0.1:{port}"))


def test_a_scheduler_that_is_not_there_yet_is_waited_for_elsewhere(ours):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    check_handshake(address(ours, f"tls://127.0.0.1:{port}"))
