import copy
import subprocess

import pytest

import jaxemb
from support.runs import values_in


@pytest.fixture
def values(tmp_path):
    """A config of its own, and its data; without an export, whose verification compiles as much as the run."""
    return values_in(tmp_path) | {"export": {"enabled": False}}


@pytest.fixture(scope="module")
def _whole(tmp_path_factory):
    values = values_in(tmp_path_factory.mktemp("whole"))
    return values, jaxemb.train(values, quiet=True)


@pytest.fixture
def whole(_whole):
    """A finished run that the tests of a file share, with a copy of its config: they write into copies of it only."""
    values, result = _whole
    return copy.deepcopy(values), result


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
