import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jaxemb.runs.storage import remote, store
from support.machines import Faults


@pytest.fixture(autouse=True)
def bucket(monkeypatch):
    """An empty store in memory, and no waiting."""
    monkeypatch.setattr(store, "WAITS", ())
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return fsspec.filesystem("memory")


@pytest.fixture
def faults(monkeypatch):
    return Faults(monkeypatch)


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 0.01)
