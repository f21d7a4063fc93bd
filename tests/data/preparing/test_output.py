import pickle
import shutil

import fsspec
import pytest

from jaxemb.data.preparing.output import PLAN, Output
from jaxemb.data.shards import writer
from jaxemb.data.shards.index import INDEX, shard_name
from jaxemb.data.shards.manifest import MANIFEST
from jaxemb.data.shards.writer import write_shard
from jaxemb.errors import UsageError
from support.shards import LAYOUT, some_examples

NAME = shard_name(0)
URL = "memory://output/here"


@pytest.fixture
def store():
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith(NAME)}


def test_only_a_finished_shard_is_one(tmp_path):
    place = Output(str(tmp_path / "out"), "plan", tmp_path / "staging")
    assert place.finished(NAME) is None
    info = write_shard(place.folder, NAME, some_examples(50), LAYOUT)
    assert place.finished(NAME) == info
    for name, content in contents(place.folder).items():
        for other in (content[:-1], None):
            (place.folder / name).unlink() if other is None else (place.folder / name).write_bytes(other)
            assert place.finished(NAME) is None
        (place.folder / name).write_bytes(content)
    shutil.copy(place.folder / (NAME + INDEX), place.folder / (shard_name(1) + INDEX))
    assert place.finished(shard_name(1)) is None


def test_a_shard_that_replaces_another_is_not_finished_before_its_end(tmp_path, monkeypatch):
    place = Output(str(tmp_path / "out"), "plan", tmp_path / "staging")
    write_shard(place.folder, NAME, some_examples(50), LAYOUT)
    killed = []

    def kill(path, content):
        killed.append(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "write_atomically", kill)
    with pytest.raises(KeyboardInterrupt):
        write_shard(place.folder, NAME, some_examples(50, seed=1), LAYOUT)
    assert killed
    assert place.finished(NAME) is None


def test_a_shard_for_a_url_is_finished_when_it_is_there(tmp_path, store):
    place = Output(URL, "plan", tmp_path / "staging")
    info = write_shard(place.folder, NAME, some_examples(50), LAYOUT)
    assert place.finished(NAME) is None
    written = contents(place.folder)
    place.publish(info)
    assert {name: store.cat_file(f"/output/here/{name}") for name in info.sizes} == {
        name: written[name] for name in info.sizes
    }
    assert list(contents(place.folder)) == [NAME + INDEX]  # the disk of this machine holds one shard at a time
    assert pickle.loads(pickle.dumps(place)).finished(NAME) == info  # as another process does
    assert Output(URL, "plan", tmp_path / "staging").finished(NAME) == info
    place.finish()
    assert not place.folder.exists()
    assert not store.exists(f"/output/here/{PLAN}")


@pytest.mark.parametrize("remote", [False, True])
def test_what_is_there_is_not_replaced(tmp_path, store, remote):
    name = URL if remote else str(tmp_path / "out")
    place = Output(name, "one", tmp_path / "staging")
    Output(name, "one", tmp_path / "staging")  # goes on
    with pytest.raises(UsageError, match=r"has an unfinished preparation of other data; choose another --output"):
        Output(name, "two", tmp_path / "staging")
    place.write(MANIFEST, b"{}")
    place.finish()
    with pytest.raises(UsageError, match=r"has prepared data; choose another --output"):
        Output(name, "one", tmp_path / "staging")


def test_other_files_are_not_mixed_with_shards(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="choose another --output, or remove what is there"):
        Output(str(tmp_path), "plan", tmp_path / "staging")
