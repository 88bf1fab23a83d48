"""A hub on this machine's loopback: the few addresses that huggingface-hub asks for a model."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """`claimed` gives another content's hash for a file; `token` is asked for where there is one."""

    files: Mapping[str, bytes]
    token: str | None = None
    is_gated: bool = False
    claimed: Mapping[str, bytes] = field(default_factory=dict)


@dataclass
class StandInHub:
    repositories: Mapping[str, Repository]
    address: str = ""
    fetched: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)


@contextmanager
def running(hub: StandInHub) -> Iterator[StandInHub]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = hub
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    hub: StandInHub


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        is_listing = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if is_listing else parts[:2])
        repository = self.server.hub.repositories.get(name)
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.server.hub.tokens.add(token)
        if repository is None or (repository.token not in (None, token)):
            gated = repository is not None and repository.is_gated
            self._send(401, {"X-Error-Code": "GatedRepo" if gated else "RepoNotFound"}, b"", with_body)
        elif is_listing:
            self._send_listing(repository, parts[4:], with_body)
        else:
            self._send_file(repository, name, parts[-1], with_body)

    def _send_listing(self, repository: Repository, rest: list[str], with_body: bool) -> None:
        if rest not in ([], ["revision", "main"], ["revision", COMMIT]):
            self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"", with_body)
            return
        siblings = [
            {"rfilename": name, "size": len(content), **_lfs(name, repository)}
            for name, content in repository.files.items()
        ]
        self._send(
            200, {}, json.dumps({"id": "x/y", "sha": COMMIT, "siblings": siblings}).encode(), with_body
        )

    def _send_file(self, repository: Repository, name: str, file: str, with_body: bool) -> None:
        content = repository.files[file]
        if with_body:
            self.server.hub.fetched.append(f"{name}/{file}")
        etag = hashlib.sha256(content).hexdigest()
        self._send(200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, content, with_body)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, with_body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _lfs(name: str, repository: Repository) -> dict[str, object]:
    if not name.endswith((".safetensors", ".gguf")):
        return {}
    content = repository.claimed.get(name, repository.files[name])
    return {"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 100}}
