import pytest

from jaxemb.errors import UserError
from jaxemb.readers import stores
from jaxemb.readers.remote import RemoteFile
from jaxemb.readers.stores import one_line, open_file_system, retried


def test_attempts(monkeypatch):
    waits = []
    monkeypatch.setattr(stores.time, "sleep", waits.append)
    left = [TimeoutError("slow"), OSError("reset"), "done"]

    def act():
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    assert retried(act, "s3://b/x") == "done"
    assert waits == list(stores.WAITS[:2])
    left[:] = [FileNotFoundError("gone"), "never"]
    with pytest.raises(FileNotFoundError):
        retried(act, "s3://b/x")
    left[:] = [OSError("a\nb")] * 4
    with pytest.raises(UserError, match=r"^s3://b/x: cannot be read, 4 attempts failed \(OSError: a\)$"):
        retried(act, "s3://b/x")


def test_an_unknown_protocol():
    with pytest.raises(UserError, match=r"none://x: cannot be opened \(ValueError: Protocol not known: none\)"):
        open_file_system("none://x")
    assert one_line(OSError()) == "OSError"


@pytest.mark.parametrize("protocol", ["gs", "s3"])
def test_a_missing_package_is_named(monkeypatch, protocol):
    def missing(*_, **__):
        raise ImportError(f"Please install {protocol}fs to access it")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UserError, match=rf"{protocol}://b/x: Please install .*pip install 'jaxemb\[remote\]'"):
        RemoteFile(f"{protocol}://b/x").is_file()
