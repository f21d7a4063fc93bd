"""Files that are whole or not there, and who may read them."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from jaxemb.errors import CannotWrite, UserError
from jaxemb.files import atomic_directory, atomic_file, is_partial, os_errors_of_rust, remove_partial, write_atomically

both = pytest.mark.parametrize("umask", [0o022, 0o027], ids=oct, indirect=True)


@both
def test_whatever_writes_them(umask, tmp_path):
    """As safetensors does: a file that nobody else may read."""

    def secret(path):
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    with atomic_file(tmp_path / "file") as partial:
        secret(partial)
    with atomic_directory(tmp_path / "folder") as partial:
        (partial / "inner").mkdir(mode=0o700)
        secret(partial / "inner/file")
        np.save(partial / "array.npy", np.zeros(3))
        (partial / "inner/link").symlink_to("nowhere")
    for path in (tmp_path / "file", tmp_path / "folder/inner/file", tmp_path / "folder/array.npy"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    for path in (tmp_path / "folder", tmp_path / "folder/inner"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o777 & ~umask


def test_on_failure_nothing_is_there_and_what_was_stays(tmp_path):
    (tmp_path / "file").write_text("old")

    def fail_after(path):
        path.write_text("half")
        assert is_partial(path) or is_partial(path.parent)
        raise KeyError

    with pytest.raises(KeyError), atomic_file(tmp_path / "file") as partial:
        fail_after(partial)
    with pytest.raises(KeyError), atomic_directory(tmp_path / "folder") as partial:
        fail_after(partial / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"
    write_atomically(tmp_path / "file", "neu: ä")
    assert (tmp_path / "file").read_bytes() == "neu: ä".encode()


def test_a_folder_that_holds_something_gives_way_only_if_asked(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    for content, replace in (("one", False), ("two", True)):
        with atomic_directory(folder, replace=replace) as partial:
            (partial / "a").write_text(content)
    with pytest.raises(UserError, match="exists and is not empty"), atomic_directory(folder):
        pass
    assert [path.read_text() for path in folder.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="is the current directory: name a new folder"), atomic_directory(Path()):
        pass


def test_what_was_left_half_written_is_removed(tmp_path):
    (tmp_path / ".a.0123abcd.partial").mkdir()
    (tmp_path / ".b.0123abcd.partial").write_text("")
    (tmp_path / ".c.partial").write_text("")
    remove_partial(tmp_path, days=1.0)
    assert len(list(tmp_path.iterdir())) == 3, "begun today"
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".c.partial"]


def test_a_refusal_of_the_system_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CannotWrite, match=r"file/below: cannot be written \("),
        atomic_directory(tmp_path / "file/below"),
    ):
        pass
    with pytest.raises(OSError, match="No space left") as error, os_errors_of_rust():
        raise RuntimeError("I/O error: (os error 28)")
    assert error.value.errno == 28
    with pytest.raises(RuntimeError, match="another"), os_errors_of_rust():
        raise RuntimeError("another")
