import pytest

from jaxemb.errors import UsageError
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.storage.local import LocalStorage


def test_it_keeps_other_runs_out_while_it_is_open(tmp_path):
    storage = LocalStorage(RunDirectory(tmp_path / "run"))
    assert str(storage) == str(tmp_path / "run")
    with storage.opened(resume=False):
        storage.begin()
        other = LocalStorage(RunDirectory(tmp_path / "run"))
        with pytest.raises(UsageError, match="another process is training in it"), other.opened(resume=True):
            pass
    with LocalStorage(RunDirectory(tmp_path / "run")).opened(resume=False):
        assert (tmp_path / "run").is_dir()
