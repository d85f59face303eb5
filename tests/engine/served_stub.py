"""A server of models on loopback that has no model: it counts, streams, and does wrong when told.

Its tokenizer takes a word for a token. It answers as OpenAI's API and Ollama's do, by real HTTP.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.core.addresses import Address

Json = dict[str, Any]
STEP_S = 0.0005  # between two tokens
BROKEN_LINES = {
    "error-event": [b'data: {"error": {"message": "out of blocks"}}\n\n'],
    "not-json": [b"data: {{{\n\n"],
}
SLOW_BEGINS = {  # of answers that go on byte by byte
    "drop by drop": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "headers without end": b"HTTP/1.1 200 OK\r\nX-Long: ",
}
CHATS_ONLY = ("only-chat", "new-word", "deaf", "foundry", "lively")
REFUSED_WORDS = {
    "strict": {"ignore_eos"},
    "new-word": {"max_tokens"},
    "deaf": {"max_tokens", "max_completion_tokens"},
}
DEAF_TOKENS = 9  # of an answer whose limit is not understood
KEEP_ALIVE = b": keepalive\r\n\r\n"
OWN_TOKENS = 1  # of every prompt, as a token that begins a text


@dataclass
class Stub:
    """How the server behaves, and what it was asked.

    Attributes:
        fault: what it does wrong; empty: nothing.
        ollama: it speaks Ollama's API instead of OpenAI's.
        owner: of its models.
        base: of its API where it is OpenAI's.
        names: of its models.
        meta: that its list says of each.
        asked: bodies of all questions.
        headers: of the last one.
    """

    fault: str = ""
    ollama: bool = False
    owner: str = "me"
    base: str = "/v1"
    names: tuple[str, ...] = ("tiny",)
    meta: Json = field(default_factory=dict)
    asked: list[Json] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address("http", "127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """The same in a word."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """Run a stub on a free port of loopback."""

    class Handler(_Handler):
        """Of this stub."""

        server_stub = stub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        stub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class _Event:
    """Makes the events of a streamed answer of OpenAI's form."""

    fault: str
    chat: bool

    def __call__(self, text: str, ended: str | None, index: int) -> Json:
        """One event of an answer."""
        said: Json = {"delta": {"content": text}} if self.chat else {"text": text}
        name, number = "x", 0
        if self.fault == "mixed":
            name = f"x{index % 2}"
        if self.fault == "foundry":  # numbered piece by piece, and a message beside what is new
            said, name, number = {**said, "message": said["delta"]}, f"chat.id.{index}", index
        if self.fault == "lively":
            said = {"delta": {"reasoning_content": text and "\u00e9"}}
        choice = {"index": number, **said, "finish_reason": ended}
        return {"id": name, "choices": [choice], "usage": None}

    def role(self) -> Json:
        """The event before any text that some servers send."""
        said = {"delta": {"role": "assistant", "content": ""}}
        return {"id": "x", "choices": [{"index": 0, **said}], "usage": None}


class _Handler(BaseHTTPRequestHandler):
    server_stub: Stub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_words: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List models."""
        stub = self.server_stub
        if self._fails_anyhow():
            return
        if stub.ollama and self.path == "/api/version":
            self._json({"version": "0.12.0"})
        elif stub.ollama and self.path == "/api/tags":
            details = {"quantization_level": "Q4_0"}
            rows = [{"name": name, "size": 1000, "details": details} for name in stub.names]
            self._json({"models": rows})
        elif not stub.ollama and self.path == f"{stub.base}/models":
            rows = [
                {"id": name, "owned_by": stub.owner, **({"meta": stub.meta} if stub.meta else {})}
                for name in stub.names
            ]
            self._json({"object": "list", "data": rows})
        elif not stub.ollama and self.path == "/props":
            self._json({"build_info": "b7777-abc"})
        else:
            self._json({"error": {"message": "no such path"}}, 404)

    def do_POST(self) -> None:
        """Answer a question."""
        stub = self.server_stub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub.headers = dict(self.headers)
        if self.path == "/api/show":
            self._json({"model_info": {"general.parameter_count": 1234}})
            return
        stub.asked.append(body)
        if self._fails_anyhow() or self._refuses(body):
            return
        if stub.ollama:
            self._generate(body)
        else:
            self._complete(body)

    def _fails_anyhow(self) -> bool:
        """Faults of every answer."""
        fault = self.server_stub.fault
        return self._begins_slowly(fault) or self._answers_otherwise(fault)

    def _begins_slowly(self, fault: str) -> bool:
        """Faults of answers that go on byte by byte."""
        if fault not in SLOW_BEGINS:
            return False
        self.close_connection = True
        with suppress(OSError):
            self.wfile.write(SLOW_BEGINS[fault])
            while not self.server_stub.closing.wait(0.02):
                self.wfile.write(b"0")
        return True

    def _answers_otherwise(self, fault: str) -> bool:
        """Faults that are told in one piece."""
        if fault == "html":
            self._body(b"<html><body>It works!</body></html>", "text/html")
        elif fault == "html-as-json":
            self._body(b"<html><body>It works!</body></html>", "application/json")
        elif fault == "no-http":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
            self.close_connection = True
        elif fault == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://elsewhere.invalid/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault == "silent":
            self.server_stub.closing.wait(10)
        elif fault == "empty":
            self._json({})
        elif fault == "key" and not self.headers.get("Authorization"):
            self._json({"error": {"message": "no key"}}, 401)
        else:
            return False
        return True

    def _refuses(self, body: Json) -> bool:
        """Faults of a question that are answered by an error."""
        fault = self.server_stub.fault
        if fault == "loading":
            self._json({"error": {"message": "Loading model", "code": 503}}, 503)
        elif fault == "broken":
            self._json({"error": {"message": "cannot open /home/jane/models/x.gguf"}}, 500)
        elif fault == "mute" and not body.get("stream"):
            self._json({"error": {"message": "context length exceeded"}}, 400)
        elif fault == "mute":
            self._body(b"", "text/event-stream")
        elif fault in CHATS_ONLY and not self.path.endswith("/chat/completions"):
            self._json({"detail": "Not Found"}, 404)
        elif REFUSED_WORDS.get(fault, {""}) <= body.keys():
            self._json({"error": {"message": "a word that is not supported"}}, 400)
        else:
            return False
        return True

    def _complete(self, body: Json) -> None:
        """As OpenAI's API does."""
        fault = self.server_stub.fault
        other = DEAF_TOKENS if fault == "deaf" else body.get("max_tokens")
        count = body.get("max_completion_tokens", other)
        chat = "messages" in body
        prompt = body["messages"][0]["content"] if chat else body["prompt"]
        usage: Json = {
            "prompt_tokens": self._counted(prompt),
            "completion_tokens": count - 3 * (fault == "count" and count > 3),
            **({"completion_tokens": min(count, 2)} if fault == "early" else {}),
        }
        if fault == "cached":
            usage["prompt_tokens_details"] = {"cached_tokens": usage["prompt_tokens"] - 1}
        if not body.get("stream") or fault == "whole":
            self._whole(count, usage, chat or fault == "whole")
            return

        event = _Event(fault, chat)
        events = self._events(count, lambda text, index: event(text, None, index))
        if fault == "lively":
            events.insert(0, event.role())
        events.append(event("", "stop" if fault == "early" else "length", 0))
        if fault == "twice":
            events += [event("b", None, 0), event("", "length", 0)]
        if fault not in ("no-usage", "foundry") and "stream_options" in body:
            events.append({"id": "x", "choices": [], "usage": usage})
        begin, end = (KEEP_ALIVE, b"\r\n\r\n") if fault == "lively" else (b"", b"\n\n")
        written = [json.dumps(one, ensure_ascii=False).encode() for one in events]
        lines = [begin + b"data: " + one + end for one in written]
        others = BROKEN_LINES.get(fault, [])
        lines = [*lines[:2], *others] if others and count > 1 else lines
        self._stream([*lines, b"data: [DONE]\n\n"], "text/event-stream")

    def _whole(self, count: int, usage: Json, chat: bool) -> None:
        """An answer in one piece."""
        text = "a" * count
        said = {"message": {"content": text}} if chat else {"text": text}
        choice = {"index": 0, **said, "finish_reason": "length"}
        self._json({"id": "x", "choices": [choice], "usage": usage})

    def _generate(self, body: Json) -> None:
        """As Ollama's /api/generate does."""
        count, fault = body["options"]["num_predict"], self.server_stub.fault
        last = {
            "response": "",
            "done": True,
            "done_reason": "length",
            "prompt_eval_count": self._counted(body["prompt"]),
            "eval_count": count,
        }
        if not body["stream"]:
            self._json({**last, "response": "a" * count})
            return
        events = self._events(count, lambda text, _: {"response": text, "done": False})
        lines = [json.dumps(one).encode() + b"\n" for one in (*events, last)]
        if fault == "error-event":
            lines[2:] = [b'{"error": "llama runner process has terminated"}\n']
        self._stream(lines, "application/x-ndjson")

    def _counted(self, prompt: str) -> int:
        """Tokens of a prompt, wrongly where that is the fault."""
        tokens = OWN_TOKENS + len(prompt.split())
        most = {"cut": 50, "cut16": 10}.get(self.server_stub.fault, tokens)
        return min(tokens, most) if tokens in (16, 64) else tokens

    def _events(self, count: int, event: Callable[[str, int], Json]) -> list[Json]:
        """One event a token, or what is done wrong instead."""
        fault = self.server_stub.fault
        if fault == "early":
            count = min(count, 2)
        if fault == "more":
            count += 2
        if fault == "cumulative":
            return [event("a" * (index + 1), index) for index in range(count)]
        if fault == "none":
            return [event("", index) for index in range(count)]
        if fault == "pairs":  # two tokens a piece
            return [event("aa", index) for index in range(-(-count // 2))]
        return [event("a", index) for index in range(count)]

    def _stream(self, lines: list[bytes], kind: str) -> None:
        """Send lines one by one."""
        fault = self.server_stub.fault
        chunked = fault != "close-plain"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header(
            *(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close"))
        )
        self.end_headers()
        if fault == "burst":
            lines = [b"".join(lines)]
        if fault in ("close", "close-plain"):
            lines = lines[: len(lines) // 2]
        if fault == "endless":
            lines = [b": still here\n" * 5000]
        if fault == "lively":  # pieces that end in the middle of a letter
            lines = [half for line in lines for half in _halves(line)]
        for line in lines:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line) if chunked else line)
            self.wfile.flush()
            time.sleep(STEP_S)
        if fault in ("close", "close-plain"):
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _json(self, answer: Json, code: int = 200) -> None:
        """Answer in one piece."""
        self._body(json.dumps(answer).encode(), "application/json", code)

    def _body(self, content: bytes, kind: str, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _halves(line: bytes) -> tuple[bytes, ...]:
    """A line, or two pieces of it that divide its first letter of two bytes."""
    found = next((index for index, byte in enumerate(line) if byte > 127), None)
    return (line,) if found is None else (line[: found + 1], line[found + 1 :])
