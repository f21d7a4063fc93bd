"""A store in memory that counts, and fails when told to."""

import dataclasses
from collections.abc import Callable, Iterator

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jaxemb.data.shards import remote


@dataclasses.dataclass
class Reads:
    """What was read from the store."""

    calls: int = 0
    bytes: int = 0
    change: Callable[[str, bytes, int], bytes] = lambda path, data, call: data
    """Gives what a call returns, or raises what it raises."""


@pytest.fixture
def reads(monkeypatch) -> Iterator[Reads]:
    """An empty store at `memory://`, and no waiting."""
    counted, cat_file = Reads(), MemoryFileSystem.cat_file

    def counting(self, path, start=None, end=None, **options):
        counted.calls += 1
        data = counted.change(path, cat_file(self, path, start, end, **options), counted.calls)
        counted.bytes += len(data)
        return data

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counting)
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0, 0.0))
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield counted
    store.store.clear()


@pytest.fixture
def every_third_fails(reads) -> Reads:
    """A store that fails every third read."""

    def change(path, data, call):
        if call % 3 == 0:
            raise ConnectionResetError("the line is down")
        return data

    reads.change = change
    return reads
