"""A hub on this machine's loopback: the few addresses that huggingface-hub and ModelScope's users ask for."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "fedcba9876543210fedcba9876543210fedcba98"


@dataclass
class Repository:
    """`claimed` gives another content's hash for a file; `token` is asked for where there is one.

    `listed` replaces fields of a file's entry in ModelScope's listing; `tells_no_commit` leaves commits out;
    `commit` is what Hugging Face's names.
    """

    files: Mapping[str, bytes]
    token: str | None = None
    is_gated: bool = False
    claimed: Mapping[str, bytes] = field(default_factory=dict)
    listed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tells_no_commit: bool = False
    commit: str = COMMIT


@dataclass
class StandInHub:
    """`cuts` gives, for a file's name, after how many bytes its next responses end; `range_status` is what a
    part of a file is sent with, or None where Range is ignored; `delay_s` goes before each MiB of a file;
    `answer` replaces ModelScope's listing; weights are redirected to another host where `has_cdn`."""

    repositories: Mapping[str, Repository]
    address: str = ""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    range_status: int | None = 206
    delay_s: float = 0
    answer: bytes | None = None
    has_cdn: bool = False
    fetched: list[str] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    cdn_headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def running(hub: StandInHub) -> Iterator[StandInHub]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = hub
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    hub: StandInHub
    daemon_threads = True


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
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if parts[0] == "cdn":
            self.server.hub.cdn_headers.append(dict(self.headers))
            self._send_file(self.server.hub.repositories["/".join(parts[1:3])], parts[1:3], parts[3:])
            return
        is_modelscope = parts[:3] == ["api", "v1", "models"]
        is_listing = not is_modelscope and parts[:2] == ["api", "models"]
        name = parts[3:5] if is_modelscope else parts[2:4] if is_listing else parts[:2]
        repository = self.server.hub.repositories.get("/".join(name))
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.server.hub.tokens.add(token)
        if repository is None or (repository.token not in (None, token)):
            gated = repository is not None and repository.is_gated
            code = {"Code": 10010205001, "Message": "record not found", "Success": False, "Data": None}
            if is_modelscope:
                self._send(404, {}, json.dumps(code).encode(), with_body)
            else:
                self._send(401, {"X-Error-Code": "GatedRepo" if gated else "RepoNotFound"}, b"", with_body)
        elif is_modelscope and parts[5:] == ["repo", "files"]:
            self._send(200, {}, self._modelscope_listing(repository, query), with_body)
        elif is_modelscope:
            self._send_from_modelscope(repository, name, query["FilePath"])
        elif is_listing:
            self._send_listing(repository, parts[4:], with_body)
        else:
            self._send_file(repository, name, parts[4:], with_body)

    def _send_listing(self, repository: Repository, rest: list[str], with_body: bool) -> None:
        if rest not in ([], ["revision", "main"], ["revision", COMMIT]):
            self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"", with_body)
            return
        siblings = [
            {"rfilename": name, "size": len(content), **_lfs(name, repository)}
            for name, content in repository.files.items()
        ]
        told = {"id": "x/y", "sha": repository.commit, "siblings": siblings}
        self._send(200, {}, json.dumps(told).encode(), with_body)

    def _modelscope_listing(self, repository: Repository, query: Mapping[str, str]) -> bytes:
        if self.server.hub.answer is not None:
            return self.server.hub.answer
        files: list[dict[str, Any]] | None = None
        if query["Revision"] in ("master", COMMIT):
            files = [{"Path": "onnx", "Name": "onnx", "Type": "tree", "Size": 0, "Sha256": ""}]
            files += [_modelscope_entry(name, repository) for name in repository.files]
        head = {} if repository.tells_no_commit else {"Id": "", "ShortId": COMMIT[:8]}
        data = {"Files": files, "IsVisual": 0, "LatestCommitter": head}
        return json.dumps({"Code": 200, "Data": data, "Message": "success", "Success": True}).encode()

    def _send_from_modelscope(self, repository: Repository, name: list[str], file: str) -> None:
        hub = self.server.hub
        if hub.has_cdn and file.endswith(".safetensors"):
            cdn = hub.address.replace("127.0.0.1", "localhost")
            self._send(302, {"Location": f"{cdn}/cdn/{'/'.join(name)}/{quote(file)}"}, b"", True)
        else:
            self._send_file(repository, name, [file])

    def _send_file(
        self, repository: Repository, name: list[str], file: list[str], with_body: bool = True
    ) -> None:
        path, hub = "/".join(file), self.server.hub
        content = repository.files[path]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin, status = 0, 200
        if asked and hub.range_status is not None:
            begin, status = int(asked[1]), hub.range_status
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        if with_body:
            hub.fetched.append(f"{'/'.join(name)}/{path}")
            hub.begins.append(begin)
        cuts = hub.cuts.get(path, []) if with_body else []
        self._send(status, headers, content[begin:], with_body, cut=cuts.pop(0) if cuts else None)

    def _send(
        self, status: int, headers: Mapping[str, str], body: bytes, with_body: bool, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = body[:cut] if with_body else b""
        try:
            for begin in range(0, len(sent), 1 << 20):
                time.sleep(self.server.hub.delay_s)
                self.wfile.write(sent[begin : begin + (1 << 20)])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        self.close_connection |= cut is not None


def _modelscope_entry(name: str, repository: Repository) -> dict[str, Any]:
    content = repository.files[name]
    return {
        "Path": name,
        "Name": name.split("/")[-1],
        "Type": "blob",
        "Size": len(content),
        "Sha256": hashlib.sha256(repository.claimed.get(name, content)).hexdigest(),
        "Revision": "" if repository.tells_no_commit else COMMIT if name == "README.md" else OLDER,
        **repository.listed.get(name, {}),
    }


def _lfs(name: str, repository: Repository) -> dict[str, object]:
    if not name.endswith((".safetensors", ".gguf")):
        return {}
    content = repository.claimed.get(name, repository.files[name])
    return {"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 100}}
