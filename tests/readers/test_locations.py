import hashlib
import zipfile
from pathlib import Path

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from jaxemb.errors import UserError
from jaxemb.readers.archives import ArchiveMember
from jaxemb.readers.lines import read_lines
from jaxemb.readers.locations import find_files, is_url, state, whole_path
from jaxemb.readers.remote import RemoteFile


@pytest.fixture
def memory():
    memory = fsspec.filesystem("memory")
    for name in ("en-de.tsv", "en-fr.tsv", "more/en-it.tsv", "more/deep/en-es.tsv", "other.txt", "[odd].tsv"):
        memory.pipe_file(f"/locations/{name}", name.encode())
    yield memory
    memory.rm("/locations", recursive=True)


def urls(*names):
    return [RemoteFile(f"memory://locations/{name}") for name in names]


def test_patterns_of_urls(memory):
    assert find_files("memory://locations/en-*.tsv", None) == urls("en-de.tsv", "en-fr.tsv")
    assert find_files("memory://locations/**/en-*.tsv", None) == urls(
        "en-de.tsv", "en-fr.tsv", "more/deep/en-es.tsv", "more/en-it.tsv"
    )
    assert find_files("memory://locations/other.txt", None) == urls("other.txt")
    assert find_files("memory://locations/[odd].tsv", None) == urls("[odd].tsv")
    assert find_files("memory://locations/more", None) == []
    assert find_files("memory://nowhere/*", None) == []


def test_a_root_may_be_a_url(memory, tmp_path):
    assert find_files("more/*.tsv", "memory://locations/") == urls("more/en-it.tsv")
    (tmp_path / "x").write_text("x")
    assert find_files(str(tmp_path / "x"), "memory://locations") == [tmp_path / "x"]
    assert find_files("memory://locations/other.txt", str(tmp_path)) == urls("other.txt")
    assert whole_path("~/x", None) == str(Path.home() / "x")


class TaggedFileSystem(MemoryFileSystem):
    """`tagged://`: a store that tells an ETag, in lists as for a file."""

    protocol = "tagged"
    store, pseudo_dirs = {}, [""]
    asked = 0
    find = AbstractFileSystem.find

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("tagged://", "memory://"))

    def ls(self, path, detail=True, **settings):
        found = super().ls(path, True, **settings)
        for one in found:
            if one["type"] == "file":
                one["ETag"] = hashlib.md5(self.store[one["name"]].getvalue()).hexdigest()
        return found if detail else [one["name"] for one in found]

    def info(self, path, **settings):
        TaggedFileSystem.asked += 1
        file = self.store.get(self._strip_protocol(path))
        tag = {} if file is None else {"ETag": hashlib.md5(file.getvalue()).hexdigest()}
        return super().info(path, **settings) | tag


def test_a_list_tells_the_states(monkeypatch):
    """Else ten thousand files would be ten thousand questions to the store."""
    fsspec.register_implementation("tagged", TaggedFileSystem, clobber=True)
    store = fsspec.filesystem("tagged")
    for name in ("a", "deep/b", "c"):
        store.pipe_file(f"/x/{name}", name.encode())
    forgotten = []
    monkeypatch.setattr(TaggedFileSystem, "invalidate_cache", lambda self, path=None: forgotten.append(path))
    files = find_files("tagged://x/**", None)
    assert forgotten == [None]  # some stores keep their lists
    asked = TaggedFileSystem.asked
    assert [file.url for file in files] == ["tagged://x/a", "tagged://x/c", "tagged://x/deep/b"]
    assert [state(file)[1] for file in files] == [1, 1, 6]
    assert TaggedFileSystem.asked == asked
    assert [state(file, now=True) for file in files] == [state(file) for file in files]
    store.pipe_file("/x/a", b"b")
    assert state(files[0], now=True) != state(files[0])
    with pytest.raises(UserError, match="tagged://x/a: changed while it was read"):
        list(read_lines(files[0]))
    assert list(read_lines(find_files("tagged://x/a", None)[0])) == ["b"]


def test_local_patterns(tmp_path):
    for name in ("a/en-de.tsv", "a/b/en-fr.tsv", "a/x.d/en-it.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("x")
    found = find_files("a/**/*.tsv", str(tmp_path))
    assert [str(file.relative_to(tmp_path)) for file in found] == ["a/b/en-fr.tsv", "a/en-de.tsv", "a/x.d/en-it.tsv"]
    assert find_files("nothing*", str(tmp_path)) == []
    assert state(found[0])[1] == 1


@pytest.mark.parametrize("where", ["here", "memory"])
def test_members_of_archives(memory, tmp_path, where):
    place = tmp_path / "x.zip" if where == "here" else RemoteFile("memory://locations/x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for name in ("en-de.tsv", "en-fr.tsv", "deep/en-it.tsv"):
            file.writestr(name, name)
    memory.put_file(str(tmp_path / "x.zip"), "/locations/x.zip")
    root = str(tmp_path) if where == "here" else "memory://locations"
    found = find_files("zip://en-*.tsv::x.zip", root)
    assert found == [ArchiveMember(place, "en-de.tsv"), ArchiveMember(place, "en-fr.tsv")]
    assert [file.open().read() for file in found] == [b"en-de.tsv", b"en-fr.tsv"]
    assert find_files("zip://**/*-it.tsv::*.zip", root) == [ArchiveMember(place, "deep/en-it.tsv")]
    with pytest.raises(UserError, match=r"x\.zip: has no file 'x\*'; there are en-de\.tsv, en-fr\.tsv, deep/en-it"):
        find_files("zip://x*::x.zip", root)
    assert find_files("zip://x::y.zip", root) == []


def test_what_is_a_url():
    assert [is_url(path) for path in ("s3://b", "zip://a::b", "simplecache::s3://b", "C::x", "a/b", "a:b")] == [
        True, True, True, True, False, False
    ]  # fmt: skip
    assert whole_path("a", "s3://b/") == "s3://b/a"
    assert find_files("simplecache::memory://nowhere/x", None) == []
