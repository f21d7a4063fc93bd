import errno
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxemb.data.pairs.normalize import text_hash
from jaxemb.encoding import encode
from jaxemb.encoding.fingerprint import fingerprint
from jaxemb.encoding.stored import StoredEmbeddings, _Index, _mapped, stored_embeddings
from jaxemb.encoding.texts import _tokenize
from jaxemb.errors import UserError
from support.tiny_models import tiny_embedder

EMBEDDER = tiny_embedder(pooling="mean")


def texts(count, seed=0):
    rng = np.random.default_rng(seed)
    return [f"{i} " + "".join(rng.choice(list("abcdefghij klmn"), rng.integers(0, 60))) for i in range(count)]


def hashes(some):
    return np.array([text_hash(text) for text in some], np.uint64)


def take(stored, some):
    return stored.take(stored.rows(hashes(some)))


@pytest.fixture
def embedded(monkeypatch):
    """All texts that a model is asked for."""
    seen = []
    monkeypatch.setattr(
        "jaxemb.encoding.texts._tokenize", lambda embedder, some: seen.extend(some) or _tokenize(embedder, some)
    )
    return seen


def test_one_chunk_is_what_encode_gives_bit_for_bit(tmp_path):
    stored, some = stored_embeddings(EMBEDDER, str(tmp_path)), [*texts(40), "", "Съешь 敏捷"]
    assert stored.path == tmp_path / f"teacher-{fingerprint(EMBEDDER)}"
    assert stored.embed_missing(EMBEDDER, some, batch_size=8) == 42
    np.testing.assert_array_equal(take(stored, some[::-1]), encode(EMBEDDER, some, batch_size=8)[::-1])
    assert take(stored, []).shape == (0, 32)


def test_each_text_is_embedded_once_whatever_order_chunks_and_object(tmp_path, embedded):
    some = texts(50)
    expected = encode(EMBEDDER, some, batch_size=8)
    embedded.clear()
    stored = stored_embeddings(EMBEDDER, str(tmp_path))
    counts = []
    for asked in (some[:20], some[10:35] + some[:5] + some[30:35], iter(some), some):
        counts.append(stored.embed_missing(EMBEDDER, asked, batch_size=8, chunk_size=7))
        stored = stored_embeddings(EMBEDDER, str(tmp_path))
    assert counts == [20, 15, 15, 0]
    assert sorted(embedded) == sorted(some)
    assert len(stored) == 50
    assert len(list(stored.path.iterdir())) == 3 + 3 + 3
    np.testing.assert_allclose(take(stored, some * 2), np.concatenate([expected] * 2), atol=1e-6)
    rows = stored.rows(hashes(some))
    assert sorted(rows) == list(range(50))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stored)).take(rows), stored.take(rows))


def test_a_text_that_comes_again_while_it_is_embedded(tmp_path, embedded, monkeypatch):
    monkeypatch.setattr("jaxemb.encoding.stored._LOOKED_UP", 3)
    asked = [text for text in texts(12) for _ in range(4)] + texts(12)
    done = []
    stored = stored_embeddings(EMBEDDER, str(tmp_path))
    assert stored.embed_missing(EMBEDDER, asked, batch_size=8, chunk_size=5, progress=done.append) == 12
    assert sorted(embedded) == sorted(texts(12))
    assert sum(done) == len(asked) == 60
    stored.embed_missing(EMBEDDER, asked, progress=done.append)
    assert sum(done) == 120
    np.testing.assert_allclose(take(stored, texts(12)), encode(EMBEDDER, texts(12)), atol=1e-6)


def test_texts_are_read_as_they_are_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxemb.encoding.stored._LOOKED_UP", 4)
    read, ahead = [], []
    stored = stored_embeddings(EMBEDDER, str(tmp_path))
    write = StoredEmbeddings._write
    monkeypatch.setattr(StoredEmbeddings, "_write", lambda *of: ahead.append(len(read) - len(stored)) or write(*of))
    stored.embed_missing(EMBEDDER, (read.append(text) or text for text in texts(80)), chunk_size=8)
    assert len(ahead) == 10
    assert max(ahead) <= 2 * 8 + 4


def test_what_was_embedded_before_an_error_stays(tmp_path, embedded, monkeypatch):
    monkeypatch.setattr("jaxemb.encoding.stored._LOOKED_UP", 5)
    some = texts(40)

    def breaks():
        yield from some[:25]
        raise RuntimeError("the source is broken")

    stored = stored_embeddings(EMBEDDER, str(tmp_path))
    with pytest.raises(RuntimeError, match="the source is broken"):
        stored.embed_missing(EMBEDDER, breaks(), chunk_size=10)
    before = len(stored)
    assert before == 10  # the second chunk was on the device
    embedded.clear()
    assert stored.embed_missing(EMBEDDER, some, chunk_size=10) == 40 - before == len(embedded)
    np.testing.assert_allclose(take(stored, some), encode(EMBEDDER, some), atol=1e-6)


KILLED = """
import os, signal, sys
import numpy as np
from support.tiny_models import tiny_embedder
from jaxemb.encoding.stored import stored_embeddings
from encoding.test_stored import texts

save, saved = np.save, []

def save_or_die(path, array):
    saved.append(path)
    if len(saved) == 6:  # the third shard's embeddings
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    save(path, array)

np.save = save_or_die
embedder = tiny_embedder(pooling="mean")
stored_embeddings(embedder, sys.argv[1]).embed_missing(embedder, texts(50), chunk_size=10)
"""


def test_kill_9_loses_what_it_was_at(tmp_path, embedded, monkeypatch):
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    stored = stored_embeddings(EMBEDDER, str(tmp_path))
    assert len(stored) == 20
    (half,) = [path for path in stored.path.iterdir() if path.name.startswith(".")]
    assert stored.embed_missing(EMBEDDER, texts(50)) == 30 == len(embedded)
    np.testing.assert_allclose(take(stored, texts(50)), encode(EMBEDDER, texts(50)), atol=1e-6)
    assert half.exists()  # another process may be at it
    in_a_week = time.time() + 7 * 86400
    monkeypatch.setattr("jaxemb.files.time", SimpleNamespace(time=lambda: in_a_week))
    stored.embed_missing(EMBEDDER, [])
    assert not half.exists()


def test_two_writers_at_once(tmp_path):
    some = texts(40)
    first, second = (stored_embeddings(EMBEDDER, str(tmp_path)) for _ in range(2))

    def asked():
        yield from some[:15]
        assert second.embed_missing(EMBEDDER, some[5:35], chunk_size=6) in (20, 30)  # 5 to 14 is under way
        yield from some[15:]

    first.embed_missing(EMBEDDER, asked(), chunk_size=10)
    third = stored_embeddings(EMBEDDER, str(tmp_path))
    second.refresh()
    expected = encode(EMBEDDER, some)
    assert len(first) == len(second) == len(third) > 40
    for stored in (first, second, third):
        np.testing.assert_allclose(take(stored, some), expected, atol=1e-6)
    # Of what lies there twice, everybody takes the older one.
    np.testing.assert_array_equal(take(third, some), take(first, some))


def test_rows_stay_what_they_are_and_the_older_of_two_is_taken(tmp_path):
    stored = StoredEmbeddings(tmp_path, 2)
    assert len(stored) == 0
    assert stored.take(stored.rows(hashes([]))).shape == (0, 2)
    stored._write(hashes(["a", "b"]), np.array([[1, 1], [2, 2]], np.float32))
    stored.refresh()
    rows = stored.rows(hashes(["b", "a"]))
    stored._write(hashes(["a", "c", "b"]), np.full((3, 2), 9, np.float32))
    stored._write(hashes(["d"]), np.full((1, 2), 4, np.float32))
    stored.refresh()
    for one in (stored, StoredEmbeddings(tmp_path, 2)):
        np.testing.assert_array_equal(one.take(rows), [[2, 2], [1, 1]])
        np.testing.assert_array_equal(take(one, ["d", "b", "c", "a"])[:, 0], [4, 2, 9, 1])
        assert len(one) == 6
    stored.take(rows)[:] = 7  # a copy
    np.testing.assert_array_equal(stored.take(rows), [[2, 2], [1, 1]])


def test_the_index_finds_what_a_dictionary_finds():
    rng = np.random.default_rng(0)
    index, expected, start = _Index(), {}, 0
    for size in (5, 1, 1, 30, 2, 2, 2, 7, 1):
        some = rng.integers(0, 60, size, np.uint64) * np.uint64(1 << 58)  # up to the largest numbers, with duplicates
        index.add(some, start)
        for row, number in enumerate(some.tolist(), start):
            expected.setdefault(number, row)
        start += size
        asked = np.arange(64, dtype=np.uint64) * np.uint64(1 << 58)
        assert index.find(asked).tolist() == [expected.get(number, -1) for number in asked.tolist()]
    sizes = [len(known) for known, _ in index._sorted]
    assert sizes == sorted(set(sizes), reverse=True)


def test_more_shards_than_files_can_be_open(tmp_path, request):
    stored = StoredEmbeddings(tmp_path, 1)
    for i in range(300):
        stored._write(np.array([i], np.uint64), np.array([[i]], np.float32))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits))
    taken, limit, free = set(map(int, os.listdir("/proc/self/fd"))), 0, 0
    while free < 270:  # numbers of files that may still be opened
        free, limit = free + (limit not in taken), limit + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    stored.refresh()
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(stored.take(stored.rows(order.astype(np.uint64)))[:, 0], order)


def test_errors_are_for_people(tmp_path, monkeypatch):
    stored = stored_embeddings(EMBEDDER, str(tmp_path))
    stored.embed_missing(EMBEDDER, ["a", "b"])
    with pytest.raises(UserError, match=rf"2 of 3 texts have no embedding .*number 1, hash {text_hash('c'):#018x}\)"):
        stored.rows(hashes(["a", "c", "d"]))
    for rows in ([-1], [0, 2]):
        with pytest.raises(IndexError, match=r"rows .* were asked for, but it has 2"):
            stored.take(np.array(rows))
    with pytest.raises(ValueError, match="of another model"):
        stored.embed_missing(tiny_embedder(seed=1, pooling="mean"), ["a"])
    broken = replace(EMBEDDER, params=jax.tree.map(lambda leaf: leaf * np.nan, EMBEDDER.params))
    with pytest.raises(UserError, match=r"2 of 2 embeddings of the teacher hold NaN.*'x'.*another teacher"):
        stored_embeddings(broken, str(tmp_path)).embed_missing(broken, ["x", "y"])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written.*data\.cache_dir chooses another folder"):
        stored_embeddings(EMBEDDER, str(tmp_path / "file")).embed_missing(EMBEDDER, ["a"])

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match=r"No space left on device.*data\.cache_dir"):
        stored.embed_missing(EMBEDDER, ["c"])
    assert len(list(stored.path.iterdir())) == 1


@pytest.mark.parametrize("name", ["hashes.npy", "embeddings.npy"])
def test_a_damaged_shard_is_named(tmp_path, name):
    stored = StoredEmbeddings(tmp_path, 2)
    stored._write(hashes(["a", "b"]), np.zeros((2, 2), np.float32))
    (shard,) = tmp_path.iterdir()
    whole = (shard / name).read_bytes()
    for damaged in (b"", whole[:-4]):
        (shard / name).write_bytes(damaged)
        with pytest.raises(UserError, match=rf"{shard.name}: is damaged.*remove it"):
            StoredEmbeddings(tmp_path, 2)
    (shard / name).write_bytes(whole)
    with pytest.raises(UserError, match=r"embeddings of shape \(2, 2\), width 3 is expected"):
        StoredEmbeddings(tmp_path, 3)
    np.save(shard / name, np.load(shard / name)[:1])
    _mapped.cache_clear()
    with pytest.raises(UserError, match="damaged"):
        StoredEmbeddings(tmp_path, 2)
