"""The part of the hub's HTTP interface that fetching uses, on 127.0.0.1.

A revision is asked for with its files, a file by HEAD and by GET; large files are answered with a
redirect to another path, with the etag and the size of what lies behind it.
"""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT, OLDER = "a" * 40, "b" * 40


class Stub(ThreadingHTTPServer):
    """What it serves: `files` by (repository, commit), and what `branches` mean.

    `asked` is the method, path and range of each request, `cut` the files whose next transfer ends
    in the middle, `gated` the repositories that want terms accepted. A redirect goes to another
    host, as the real one does: the library follows no other answer than the first for its headers.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.branches = {}, {"main": COMMIT, "v1": OLDER}
        self.asked, self.cut, self.gated = [], set(), set()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        stub, path = self.server, self.path.split("?")[0]
        stub.asked.append((self.command, path, self.headers.get("Range")))
        if path.startswith("/api/models/"):
            repo, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            return self.describe(repo, revision)
        if "/resolve/" not in path and not path.startswith("/cdn/"):
            return self.refuse(404, "EntryNotFound")
        kind, _, rest = path.removeprefix("/").partition("/")
        if kind == "cdn":
            repo, commit, file = self.split(rest, "at")
            return self.send(stub.files[repo, commit][file], file)
        repo, commit, file = self.split(path.removeprefix("/"), "resolve")
        content = stub.files.get((repo, commit), {}).get(file)
        if content is None:
            return self.refuse(404, "EntryNotFound")
        etag = hashlib.sha256(content).hexdigest()
        if file.endswith(".json"):
            return self.send(content, file, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})
        return self.reply(
            302,
            b"",
            {
                "Location": f"http://localhost:{stub.server_port}/cdn/{repo}/at/{commit}/{file}",
                "X-Linked-Etag": f'"{etag}"',
                "X-Linked-Size": str(len(content)),
                "X-Repo-Commit": commit,
            },
        )

    def split(self, rest, word):
        repo, _, rest = rest.partition(f"/{word}/")
        return repo, *rest.split("/", 1)

    def describe(self, repo, revision):
        stub = self.server
        if repo in stub.gated:
            return self.refuse(403, "GatedRepo")
        if not any(known == repo for known, _ in stub.files):
            return self.refuse(401, "RepoNotFound")  # as the hub answers those without a token
        commit = stub.branches.get(revision, revision)
        files = stub.files.get((repo, commit))
        if files is None:
            return self.refuse(404, "RevisionNotFound")
        siblings = [{"rfilename": name, "size": len(files[name])} for name in files]
        body = {"id": repo, "sha": commit, "siblings": siblings}
        return self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def send(self, content, file, headers=None):
        wanted = self.headers.get("Range")
        first = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        part, code = content[first:], 206 if wanted else 200
        headers = {"Accept-Ranges": "bytes", **(headers or {})}
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        if self.command == "GET" and file in self.server.cut:
            self.server.cut.discard(file)
            self.reply(code, part[: len(part) // 2], {**headers, "Content-Length": str(len(part))})
            self.close_connection = True
            return
        self.reply(code, part, headers)

    def refuse(self, code, word):
        self.reply(code, b"{}", {"X-Error-Code": word, "X-Error-Message": word})

    def reply(self, code, body, headers):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def running_stub():
    """A stub that serves until the end of the block."""
    with Stub() as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield stub
        finally:
            stub.shutdown()
            thread.join()
