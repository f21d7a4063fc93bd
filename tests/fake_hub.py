"""A Hub on 127.0.0.1: what `snapshot_download` asks of the real one, out of a folder."""

import hashlib
import http.server
import json
import threading
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "fedcba9876543210fedcba9876543210fedcba98"


class FakeHub:
    """`repos`: name -> revision or commit -> folder. `requests`: what was asked, in order."""

    def __init__(self):
        self.repos, self.requests, self.gated = {}, [], set()

    def add(self, name, folder, commit=COMMIT, *revisions):
        for revision in (commit, *revisions):
            self.repos.setdefault(name, {})[revision] = (folder, commit)

    def answer(self, path):
        """(status, headers, body)."""
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "api" and not rest.startswith("models/"):
            return 404, {}, b"{}"
        if kind == "api":
            owner, repo, *more = rest.removeprefix("models/").split("/", 3)
            wanted, revision = (more + [None, None])[:2] if more else ("revision", "main")
        else:
            owner, repo, wanted, revision, *file = path.lstrip("/").split("/", 4)
        name, revision = f"{owner}/{repo}", unquote(revision)
        if name not in self.repos:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if revision not in self.repos[name]:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        folder, commit = self.repos[name][revision]
        if wanted == "revision":
            return 200, {}, json.dumps({"id": name, "modelId": name, "sha": commit, "siblings": []}).encode()
        files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        if wanted == "tree":
            listing = [
                {
                    "type": "file",
                    "path": path,
                    "size": file.stat().st_size,
                    "oid": _sha1(path.encode()),
                }
                for path, file in files.items()
            ]
            return 200, {}, json.dumps(listing).encode()
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        body = files[unquote(file[0])].read_bytes()
        return 200, {"ETag": f'"{_sha1(body)}"', "X-Repo-Commit": commit}, body

    def fetched(self):
        """Names of the files that were sent."""
        sent = [path for kind, path in self.requests if kind == "GET" and "/resolve/" in path]
        return sorted(path.split("/resolve/")[1].split("/", 1)[1] for path in sent)


def _sha1(data):
    return hashlib.sha1(data).hexdigest()


@contextmanager
def running(hub):
    """The hub's address while it answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            path = urlsplit(self.path).path
            if path != "/api/agent-harnesses":  # once a process, by huggingface_hub itself, for its user agent
                hub.requests.append((self.command, path))
            status, headers, body = hub.answer(path)
            self.send_response(status)
            for key, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD  # noqa: N815

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
