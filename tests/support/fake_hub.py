"""A Hub on 127.0.0.1: what `snapshot_download` asks of the real one, out of a folder, and `upload_folder`, into one."""

import base64
import hashlib
import http.server
import json
import threading
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "fedcba9876543210fedcba9876543210fedcba98"


class FakeHub:
    """`repos`: name -> revision or commit -> folder. `requests`: what was asked, in order.

    What is pushed lies in `folder`/NAME/REVISION; `created` has what was asked of new repositories, `messages` those of
    commits.
    """

    def __init__(self, folder=None):
        self.repos, self.requests, self.gated = {}, [], set()
        self.folder, self.tokens, self.created, self.messages, self.objects = folder, {}, {}, [], {}
        self.address = ""

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

    def take(self, method, path, token, body):
        """(status, headers, body) of what is sent here; `tokens` has the owners that each token may write for."""
        if method == "PUT":
            self.objects[path.rsplit("/", 1)[1]] = body
            return 200, {}, b""
        if token not in self.tokens:
            return 401, {"X-Error-Message": "Invalid credentials in Authorization header"}, b"{}"
        if path == "/api/validate-yaml":
            errors = [] if b"license: unheard-of" not in body else [{"message": '"license" must be one of ...'}]
            return 400 if errors else 200, {}, json.dumps({"errors": errors, "warnings": []}).encode()
        if path == "/api/repos/create":
            return self._create(json.loads(body), self.tokens[token])
        name = "/".join(path.removeprefix("/api/models/").lstrip("/").split("/")[:2]).removesuffix(".git")
        if name.split("/")[0] not in self.tokens[token]:
            return 403, {"X-Error-Message": "You do not have the rights"}, b"{}"
        if path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            for one in objects:
                one["actions"] = {"upload": {"href": f"{self.address}/objects/{one['oid']}"}}
            return 200, {}, json.dumps({"transfer": "basic", "objects": objects}).encode()
        what, revision = path.split(name + "/", 1)[1].split("/", 1)
        if what == "branch":
            self.repos[name].setdefault(unquote(revision), next(iter(self.repos[name].values())))
            return 200, {}, b"{}"
        if what == "preupload":
            files = [
                {"path": one["path"], "uploadMode": mode, "shouldIgnore": False}
                for one in json.loads(body)["files"]
                for mode in ["lfs" if one["path"].endswith(".safetensors") else "regular"]
            ]
            return 200, {}, json.dumps({"files": files}).encode()
        return self._commit(name, unquote(revision), [json.loads(line) for line in body.splitlines()])

    def _create(self, asked, owners):
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] not in owners:
            return 403, {"X-Error-Message": "You do not have the rights to create a model there"}, b"{}"
        status = 409 if name in self.repos else 200
        if status == 200:
            (self.folder / name / "main").mkdir(parents=True)
            self.add(name, self.folder / name / "main", COMMIT, "main")
            self.created[name] = asked
        return status, {}, json.dumps({"url": f"{self.address}/{name}", "name": name}).encode()

    def _commit(self, name, revision, lines):
        folder = self.folder / name / revision
        for line in lines:
            what = line["value"]
            if line["key"] == "header":
                self.messages.append(what["summary"])
                continue
            content = base64.b64decode(what["content"]) if line["key"] == "file" else self.objects[what["oid"]]
            (folder / what["path"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / what["path"]).write_bytes(content)
        self.add(name, folder, COMMIT, revision)
        done = {"success": True, "commitOid": COMMIT, "commitUrl": f"{self.address}/{name}/commit/{COMMIT}"}
        return 200, {}, json.dumps(done).encode()

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
            if path == "/api/whoami-v2":
                known = hub.tokens.get(self.token())
                answer = (401, {"X-Error-Message": "Invalid"}, b"{}") if known is None else (200, {}, b'{"name": "me"}')
            else:
                answer = hub.answer(path)
            self.reply(*answer)

        def token(self):
            return self.headers.get("Authorization", "").removeprefix("Bearer ")

        def reply(self, status, headers, body):
            self.send_response(status)
            for key, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_POST(self):
            path = urlsplit(self.path).path
            hub.requests.append((self.command, path))
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.reply(*hub.take(self.command, path, self.token(), body))

        do_GET, do_PUT = do_HEAD, do_POST  # noqa: N815

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield hub.address
        finally:
            server.shutdown()
            thread.join()
