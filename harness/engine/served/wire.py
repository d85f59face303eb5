"""One question to a server over HTTP, and its answer piece by piece, each with its time of arrival.

Nothing is followed, nothing is retried, no proxy is asked: what is timed is one connection to the
one address that the user gave. All that comes is bounded.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
    RemoteDisconnected,
)
from socket import SHUT_RDWR, socket
from typing import Any

from harness.core.addresses import Address
from harness.core.environment import KEY, read_variable
from harness.core.errors import DeviceError, HarnessError, MeasurementError, WorkerError
from harness.machine.meters.samples import Clock

Json = Any  # whatever a server sends
CONNECT_S, SILENT_S = 10.0, 300.0  # a large model that is loaded first says nothing for minutes
MOST_BODY_BYTES, MOST_LINE_BYTES = 16 << 20, 1 << 20
PIECE_BYTES = 1 << 16
LINES_BESIDE_TOKENS = 4096  # comments and empty events of a stream, beside those of its tokens
DATA, LAST = b"data:", b"[DONE]"  # of events that servers send: the last one says so
TIMEOUT = "timeout"  # the status of such a row
MOST_TOLD = 200  # characters of what a server says of its error


class RefusedError(MeasurementError):
    """The server answered with an error.

    Attributes:
        code: of HTTP; 0: it came inside an answer.
    """

    def __init__(self, problem: str, fix: str, code: int = 0) -> None:
        """Keep the code."""
        super().__init__(problem, fix)
        self.code = code


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer as it came.

    Attributes:
        start_ns: when the question was about to be sent, on an open connection.
        lines: each line that is not empty, with the time of its arrival in ns.
        end_ns: when the last of it came.
    """

    start_ns: int
    lines: tuple[tuple[int, bytes], ...]
    end_ns: int


@dataclass(frozen=True, slots=True)
class Wire:
    """How a server is asked.

    Attributes:
        address: of it.
        connect_s: longest wait for a connection.
        silent_s: longest wait for the next piece of an answer.
        whole_s: longest wait for all of it, as from a server that sends a byte now and then; None:
            whoever started this process ends it.
        clock: monotonic, in ns.
    """

    address: Address
    connect_s: float = CONNECT_S
    silent_s: float = SILENT_S
    whole_s: float | None = None
    clock: Clock = time.perf_counter_ns

    def get(self, path: str) -> Json:
        """What lies at a path, as JSON; see ask."""
        return self._whole("GET", path, None)

    def ask(self, path: str, body: Mapping[str, Json]) -> Json:
        """The whole answer to a question, as JSON.

        Raises:
            DeviceError: the server is away.
            RefusedError: it answered with an error.
            MeasurementError: its answer is none that can be used.
            WorkerError: it says nothing for too long; status `timeout`.
        """
        return self._whole("POST", path, body)

    def stream(self, path: str, body: Mapping[str, Json], most_tokens: int) -> Stream:
        """Ask for an answer piece by piece.

        Args:
            path: on the server.
            body: the question.
            most_tokens: that it asks for; a stream of far more lines is cut off.

        Raises:
            HarnessError: as ask; and an answer that ended in the middle of a piece.
        """
        most_lines = 8 * most_tokens + LINES_BESIDE_TOKENS

        def read(connection: HTTPConnection) -> Stream:
            start_ns = self.clock()
            self._send(connection, "POST", path, body)
            lines = _Lines(self.clock, most_lines, self.address.told)
            lines.read(self._accepted(connection.getresponse(), path))
            return Stream(start_ns, tuple(lines.found), lines.last_ns)

        found: Stream = self._talk(read)
        return found

    def _whole(self, method: str, path: str, body: Mapping[str, Json] | None) -> Json:
        """Send one question and read all of its answer."""

        def read(connection: HTTPConnection) -> Json:
            self._send(connection, method, path, body)
            response = self._accepted(connection.getresponse(), path)
            return self._decoded(response.read(MOST_BODY_BYTES + 1), path)

        return self._talk(read)

    def _talk(self, talk: Callable[[HTTPConnection], Any]) -> Any:
        """Connect, and tell what goes wrong in words of our own.

        Raises:
            HarnessError: see ask.
        """
        connection = self._connected()
        with _cut_after(connection.sock, self.whole_s) as is_late:
            try:
                return self._heard(talk, connection)
            except HarnessError as error:
                if not is_late():
                    raise
                raise WorkerError(
                    f"{self.address.told} did not come to an end of its answer in"
                    f" {self.whole_s:g} s",
                    fix=_ADDRESS,
                    status=TIMEOUT,
                ) from error

    def _heard(self, talk: Callable[[HTTPConnection], Any], connection: HTTPConnection) -> Any:
        """Talk, and close."""
        told = self.address.told
        try:
            return talk(connection)
        except TimeoutError as error:
            raise WorkerError(
                f"{told} said nothing for {self.silent_s:g} s",
                fix="a smaller model or prompt, or wait until it has loaded",
                status=TIMEOUT,
            ) from error
        except (IncompleteRead, RemoteDisconnected, ConnectionError) as error:
            raise MeasurementError(
                f"{told} closed the connection in the middle of its answer",
                fix="look into its log; it may have run out of memory",
            ) from error
        except (HTTPException, ValueError) as error:
            raise MeasurementError(
                f"{told} answers with no HTTP that can be read: {type(error).__name__}",
                fix="the address of its API: host, port and scheme",
            ) from error
        except OSError as error:
            raise MeasurementError(
                f"the connection to {told} broke: {error.strerror or type(error).__name__}",
                fix="look into its log",
            ) from error
        finally:
            connection.close()

    def _connected(self) -> HTTPConnection:
        """An open connection; http.client asks no proxy, whatever the environment says.

        Raises:
            DeviceError: nobody listens there.
        """
        address = self.address
        kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
        connection = kind(address.host, address.port, timeout=self.connect_s)
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise DeviceError(
                f"{address.told} speaks no TLS that is trusted: {error.reason or 'unknown reason'}",
                fix="http:// if it speaks plain HTTP, or a certificate that this system trusts",
            ) from error
        except OSError as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
            raise DeviceError(
                f"{address.told} cannot be reached: {why or type(error).__name__}",
                fix="start it, and give the address that it prints",
            ) from error
        connection.sock.settimeout(self.silent_s)
        return connection

    def _send(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, Json] | None,
    ) -> None:
        """Send a question with the user's key, which goes nowhere else."""
        headers = {"Accept": "application/json, text/event-stream", "Connection": "close"}
        key = read_variable(KEY).strip()
        if key:
            if not (key.isascii() and key.isprintable()):
                raise DeviceError(
                    "BENCH_API_KEY holds signs that no key has",
                    fix="set it to the key alone: ASCII, on one line",
                )
            if self.address.scheme != "https" and not self.address.is_loopback:
                raise DeviceError(
                    "BENCH_API_KEY is not sent to another machine over plain http",
                    fix="https://, or unset BENCH_API_KEY",
                )
            headers["Authorization"] = f"Bearer {key}"
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, content, headers)

    def _accepted(self, response: HTTPResponse, path: str) -> HTTPResponse:
        """An answer that is one.

        Raises:
            RefusedError: an error, or one that sends elsewhere.
            MeasurementError: a page for people.
        """
        told, code = self.address.told, response.status
        if 300 <= code < 400:
            raise RefusedError(
                f"{told} sends {path} elsewhere (HTTP {code}), which is not followed",
                fix="the address that it sends to, if you trust it",
                code=code,
            )
        kind = response.headers.get_content_type()
        if code >= 400:
            raise self._refusal(code, response.read(MOST_LINE_BYTES), path)
        if code != 200:
            raise RefusedError(f"{told} answers {path} with HTTP {code}", fix=_ADDRESS, code=code)
        if kind == "text/html":
            raise _page(told)
        return response

    def _refusal(self, code: int, body: bytes, path: str) -> RefusedError:
        """An error of the server in one sentence."""
        if code in (401, 403):
            return RefusedError(
                f"{self.address.told} asks for a key (HTTP {code})",
                fix="set the variable BENCH_API_KEY",
                code=code,
            )
        why = ""
        with suppress(ValueError, RecursionError):
            why = error_words(json.loads(body))
        fixes = {503: "wait until it has loaded its model", 404: _ADDRESS}
        return RefusedError(
            f"{self.address.told} refuses {path} with HTTP {code}{f': {why}' if why else ''}",
            fix=fixes.get(code, "look into its log; a smaller prompt or another model"),
            code=code,
        )

    def _decoded(self, body: bytes, path: str) -> Json:
        """JSON of a bounded length.

        Raises:
            MeasurementError: more than that, a page, or no JSON.
        """
        told = self.address.told
        if len(body) > MOST_BODY_BYTES:
            raise MeasurementError(
                f"{told} answers {path} with more than {MOST_BODY_BYTES >> 20} MiB", fix=_ADDRESS
            )
        if body.lstrip()[:1] == b"<":
            raise _page(told)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MeasurementError(f"{told} answers {path} with no JSON", fix=_ADDRESS) from error


@contextmanager
def _cut_after(sock: socket, seconds: float | None) -> Iterator[Callable[[], bool]]:
    """End a connection when its time is over, whatever it waits for; gives whether it was."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            sock.shutdown(SHUT_RDWR)

    timer = threading.Timer(seconds or 0.0, cut)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield late.is_set
    finally:
        timer.cancel()


_ADDRESS = "the address of its API, such as http://localhost:11434 or http://localhost:8080/v1"


def _page(told: str) -> MeasurementError:
    """The error of an answer that is made for a browser."""
    return MeasurementError(f"{told} answers with a web page, not with an API", fix=_ADDRESS)


def error_words(answer: Json) -> str:
    """What a server says of its error, cut short; empty: nothing."""
    found = answer
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    if isinstance(found, list):
        found = next((one.get("msg") for one in found if isinstance(one, dict)), None)
    if not isinstance(found, str):
        return ""
    words = " ".join(word.rpartition("/")[2] for word in found.split())[:MOST_TOLD]
    return "".join(sign if sign.isprintable() else "?" for sign in words)


def is_last(line: bytes) -> bool:
    """Whether a line says that the stream is done, with a space behind the colon or without."""
    return line.startswith(DATA) and line.removeprefix(DATA).strip() == LAST


class _Lines:
    """Takes a body apart into lines as its pieces come."""

    def __init__(self, clock: Clock, most: int, told: str) -> None:
        """Nothing has come.

        Args:
            clock: in ns.
            most: lines.
            told: the server in a sentence.
        """
        self.found: list[tuple[int, bytes]] = []
        self.last_ns = 0
        self._clock, self._most, self._told = clock, most, told

    def read(self, response: HTTPResponse) -> None:
        """Read until the end, or until the stream says that it is done.

        Raises:
            MeasurementError: a line or a number of lines beyond all bounds.
        """
        rest, count = b"", 0
        while True:
            piece = response.read1(PIECE_BYTES)
            now_ns = self._clock()
            if not piece:
                break
            self.last_ns = now_ns
            *whole, rest = (rest + piece).split(b"\n")
            count += len(whole)
            self.found += [(now_ns, one) for line in whole if (one := line.rstrip(b"\r"))]
            if any(map(is_last, whole)):
                return
            if len(rest) > MOST_LINE_BYTES or count > self._most:
                raise MeasurementError(
                    f"{self._told} goes on without an end: {count} lines came of an answer that"
                    " was to be shorter",
                    fix="a server that keeps to max_tokens",
                )
        if rest.strip():
            self.found.append((self.last_ns, rest.rstrip(b"\r")))
