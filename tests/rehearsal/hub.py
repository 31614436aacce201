"""A hub on loopback: as much of the Hugging Face hub's protocol as its clients use to fetch data sets and models.

    with Hub(folder) as hub:            # folder/datasets/openai/gsm8k/main/test-....parquet, folder/models/Qwen/...
        subprocess.run(command, env=client_environment(hub.address, cache))

Each repository has one commit, the one in its file `.commit` (40 hex digits), which is also its branch main. A file
`.gated` makes the repository refuse visitors. `hub.requests` lists what was asked: "GET /api/datasets/...".
"""

import hashlib
import json
import os
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

_CLIENT_SETTINGS = ("HF_", "HUGGING_FACE_", "HUGGINGFACE_", "TRANSFORMERS_", "DATASETS_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def client_environment(address: str, cache: Path, offline: bool = False) -> dict[str, str]:
    """The environment of a process that knows this hub and this cache alone, whatever was set around the tests: a home,
    an address, a token or a proxy of the real hub's, or a part of otr that went offline in this very process."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_CLIENT_SETTINGS) and name.casefold() not in _PROXIES
    }
    return kept | {"HF_ENDPOINT": address, "HF_HOME": str(cache)} | ({"HF_HUB_OFFLINE": "1"} if offline else {})


class Hub:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Refused(Exception):
    """An answer with the hub's own error code."""

    def __init__(self, status: HTTPStatus, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:
        self.hub.requests.append(f"{self.command} {unquote(self.path)}")

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        try:
            if parts[:1] == ["api"]:
                self._send(json.dumps(self._api(parts[1:], body)).encode())
            else:
                self._file(parts)
        except _Refused as refused:
            self._send(b"", refused.status, {"X-Error-Code": refused.code, "X-Error-Message": refused.code})

    def _api(self, parts: list[str], body: bytes) -> Any:
        """/api/datasets/<owner>/<name>[/revision/<revision> | /tree/<revision>/<path> | /paths-info/<revision>]"""
        kind, owner, name, *rest = [*parts, "", "", ""][: max(3, len(parts))]
        repository = self._repository(kind, f"{owner}/{name}")
        action, revision, *path = [*rest, "", ""][: max(2, len(rest))]
        commit = self._commit(repository, revision or "main")
        if action == "tree":
            recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
            return self._tree(repository, "/".join(path), recursive)
        if action == "paths-info":
            asked = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            return [_entry(repository, repository / one) for one in asked if (repository / one).exists()]
        siblings = [{"rfilename": str(file.relative_to(repository))} for file in _files(repository)]
        facts = {"private": False, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": []}
        return {"_id": "0" * 24, "id": f"{owner}/{name}", "sha": commit, "siblings": siblings, **facts}

    def _tree(self, repository: Path, path: str, recursive: bool) -> list[dict[str, Any]]:
        folder = repository / path
        if not folder.is_dir():
            raise _Refused(HTTPStatus.NOT_FOUND, "EntryNotFound")
        found = folder.rglob("*") if recursive else folder.iterdir()
        return [_entry(repository, one) for one in sorted(found) if not one.name.startswith(".")]

    def _file(self, parts: list[str]) -> None:
        """/datasets/<owner>/<name>/resolve/<revision>/<path>; a model's address begins with its owner."""
        kind = parts.pop(0) if parts[:1] == ["datasets"] else "models"
        if len(parts) < 5 or parts[2] != "resolve":
            raise _Refused(HTTPStatus.NOT_FOUND, "EntryNotFound")
        repository = self._repository(kind, f"{parts[0]}/{parts[1]}")
        commit = self._commit(repository, parts[3])
        if (repository / ".gated").exists():
            raise _Refused(HTTPStatus.FORBIDDEN, "GatedRepo")
        file = repository / "/".join(parts[4:])
        if not file.is_file():
            self._send(b"", HTTPStatus.NOT_FOUND, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        content = file.read_bytes()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_digest(content)}"', "Accept-Ranges": "bytes"}
        first = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self._send(content[first:], HTTPStatus.PARTIAL_CONTENT if first else HTTPStatus.OK, headers)

    def _repository(self, kind: str, name: str) -> Path:
        folder = self.hub.folder / kind / name
        if not (folder / ".commit").is_file():
            raise _Refused(HTTPStatus.NOT_FOUND, "RepoNotFound")
        return folder

    def _commit(self, repository: Path, revision: str) -> str:
        commit = (repository / ".commit").read_text()
        if revision not in ("main", commit):
            raise _Refused(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        return commit

    def _send(self, content: bytes, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(content))} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _files(repository: Path) -> list[Path]:
    return sorted(file for file in repository.rglob("*") if file.is_file() and not file.name.startswith("."))


def _entry(repository: Path, path: Path) -> dict[str, Any]:
    name = str(path.relative_to(repository))
    if path.is_dir():
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
    content = path.read_bytes()
    return {"type": "file", "oid": _digest(content), "size": len(content), "path": name}


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
