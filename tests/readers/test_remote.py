import gzip
import http.server
import threading

import fsspec
import pytest

from jaxemb.errors import UserError
from jaxemb.readers import stores
from jaxemb.readers.lines import read_lines
from jaxemb.readers.locations import state
from jaxemb.readers.remote import RemoteFile
from support.failing_store import FailingFileSystem

LINES = [f"line {n}" for n in range(100_000)]
CONTENT = "\n".join(LINES).encode()


@pytest.fixture
def failing(monkeypatch):
    fsspec.register_implementation("failing", FailingFileSystem, clobber=True)
    waits = []
    monkeypatch.setattr(stores.time, "sleep", waits.append)
    monkeypatch.setattr(FailingFileSystem, "every", 3)
    monkeypatch.setattr(FailingFileSystem, "calls", 0)
    fsspec.filesystem("failing").pipe_file("/b/x", CONTENT)
    return waits


def test_every_third_read_fails_and_nothing_is_lost(failing):
    for data in (CONTENT, gzip.compress(CONTENT, 1)):
        fsspec.filesystem("failing").pipe_file("/b/x", data)
        assert list(read_lines(RemoteFile("failing://b/x"))) == LINES
    assert len(failing) > 10
    assert set(failing) == {stores.WAITS[0]}


def test_a_connection_that_ends_too_early_is_resumed(failing, monkeypatch):
    monkeypatch.setattr(FailingFileSystem, "short", True)
    monkeypatch.setattr(FailingFileSystem, "every", 10**9)
    assert list(read_lines(RemoteFile("failing://b/x"))) == LINES


def test_a_store_that_always_fails_is_one_error(failing, monkeypatch):
    monkeypatch.setattr(FailingFileSystem, "every", 1)
    with pytest.raises(
        UserError, match=r"^failing://b/x: cannot be read, 4 attempts failed \(ConnectionError: reset by peer\)$"
    ):
        list(read_lines(RemoteFile("failing://b/x")))
    assert failing == list(stores.WAITS)


def test_a_refusal_is_not_tried_again(failing, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("403")

    monkeypatch.setattr(FailingFileSystem, "info", refuse)
    with pytest.raises(
        UserError, match=r"x: cannot be read \(PermissionError: 403\); are its name and the credentials"
    ):
        list(read_lines(RemoteFile("failing://b/x")))
    assert failing == []


def test_what_is_missing_is_named():
    with pytest.raises(UserError, match="memory://nowhere/x: no such file"):
        list(read_lines(RemoteFile("memory://nowhere/x")))
    with pytest.raises(UserError, match=r"none://x: cannot be opened \(ValueError: Protocol not known: none\)"):
        RemoteFile("none://x").is_file()


def test_a_file_that_changes_or_vanishes_meanwhile():
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/changing/x", CONTENT)
    file = RemoteFile("memory://changing/x")
    before = state(file)
    lines = read_lines(file)
    next(lines)
    memory.pipe_file("/changing/x", CONTENT[:-1] + b"y")
    assert state(file)[:2] == before[:2]
    assert state(file) != before
    with pytest.raises(UserError, match="changing/x: changed while it was read"):
        list(lines)
    lines = read_lines(file)
    next(lines)
    memory.rm_file("/changing/x")
    with pytest.raises(UserError, match="changing/x: vanished while it was read"):
        list(lines)


def test_names():
    file = RemoteFile("https://opus.example/de-en.txt.zip?download=1")
    assert file.name == "de-en.txt.zip"
    assert RemoteFile("gs://b/STS.input.x.txt").with_name("STS.gs.x.txt") == RemoteFile("gs://b/STS.gs.x.txt")


class _Server(http.server.BaseHTTPRequestHandler):
    """A server without ranges: its n-th answer ends after n tenths of the file."""

    requests = 0

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        _Server.requests += 1
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        part = CONTENT[: len(CONTENT) * min(_Server.requests, 10) // 10]
        for start in range(0, len(part), 50_000):
            chunk = part[start : start + 50_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if _Server.requests >= 10:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


def test_a_web_server_without_ranges(monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(stores.time, "sleep", lambda _: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        lines = list(read_lines(RemoteFile(f"http://127.0.0.1:{server.server_port}/x")))
    finally:
        server.shutdown()
        server.server_close()
    assert lines == LINES
    assert _Server.requests >= 10
