"""Examples by position, from a folder and from a URL."""

import multiprocessing
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import fsspec
import numpy as np
import pytest

from jaxemb.data.shards import reader
from jaxemb.data.shards.index import INDEX, LENGTHS, shard_name
from jaxemb.data.shards.manifest import MANIFEST
from jaxemb.data.shards.reader import Shards
from jaxemb.data.shards.record import Layout
from jaxemb.errors import UsageError, UserError
from support.shards import URL, assert_same, prepare, some_examples, upload

SIZES = [[700, 300], [1], [2500]]
"""Rows of the shards of three lanes."""


@pytest.fixture(scope="module")
def examples():
    return some_examples(sum(map(sum, SIZES)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, examples):
    path = tmp_path_factory.mktemp("prepared")
    rest = iter(examples)
    prepare(path, [[[next(rest) for _ in range(size)] for size in lane] for lane in SIZES])
    return path


@pytest.fixture(params=["folder", "url"])
def shards(request, folder, tmp_path, reads) -> Shards:
    upload(folder)
    return Shards.open(folder if request.param == "folder" else URL, tmp_path / "cache")


def lengths_of(examples) -> list[list[int]]:
    return [[len(ids) for ids in example.ids] + [0] * (3 - len(example.ids)) for example in examples]


def test_any_examples_in_any_order(shards, examples):
    assert len(shards) == len(examples) == 3501
    draw = np.random.default_rng(0)
    for rows in (
        np.arange(len(shards)),
        draw.permutation(len(shards)),
        draw.integers(0, len(shards), 50),
        np.array([699, 700, 999, 1000, 1001, 3500, 0, 0]),
        np.zeros(0, np.int64),
    ):
        assert_same(shards.examples(rows), [examples[row] for row in rows])
        lengths = shards.lengths(rows)
        assert lengths.dtype == np.uint16
        assert lengths.tolist() == lengths_of([examples[row] for row in rows])


@pytest.mark.parametrize("rows", [[-1], [0, 3501], [1 << 40]])
def test_what_is_out_of_range_is_refused(shards, rows):
    for read in (shards.examples, shards.lengths):
        with pytest.raises(IndexError, match="not in 0 to 3500"):
            read(np.array(rows))


def test_what_is_in_memory_is_bounded(shards, examples, monkeypatch):
    for name in ("_opened", "_lengths", "_indexes"):
        monkeypatch.setattr(getattr(shards, name), "_limit", 2)
    monkeypatch.setattr(reader, "_LOADED_TOGETHER", 3)
    for seed in range(3):
        rows = np.random.default_rng(seed).permutation(len(shards))
        assert_same(shards.examples(rows), [examples[row] for row in rows])
        assert shards.lengths(rows).tolist() == lengths_of([examples[row] for row in rows])
    assert [len(shards._opened), len(shards._lengths), len(shards._indexes)] == [2, 2, 2]


def test_threads_read_at_the_same_time(shards, examples):
    rows = [np.random.default_rng(seed).integers(0, len(shards), 300) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for some, found in zip(rows, threads.map(shards.examples, rows), strict=True):
            assert_same(found, [examples[row] for row in some])


def size_of(shards: Shards) -> int:
    return sum(sum(shard.info.sizes.values()) for shard in shards.manifest.shards)


def test_few_rows_cost_few_bytes(folder, tmp_path, reads):
    upload(folder)
    shards = Shards.open(URL, tmp_path)
    before = reads.bytes
    shards.examples(np.arange(1300, 1310))
    assert reads.bytes - before == shards.bytes_read < 40_000 < size_of(shards) // 10
    shards.examples(np.arange(1300, 1310))
    Shards.open(URL, tmp_path).examples(np.arange(1300, 1310))
    assert reads.bytes - before - len((folder / MANIFEST).read_bytes()) == shards.bytes_read, "the cache has them"


def blocks_of_rows(begin: int, end: int, seed: int) -> list[np.ndarray]:
    """Blocks of 1,000 rows in random order, the rows of each in random order."""
    draw = np.random.default_rng(seed)
    blocks = [np.arange(first, min(first + 1000, end)) for first in range(begin, end, 1000)]
    return [draw.permutation(blocks[i]) for i in draw.permutation(len(blocks))]


def test_a_host_reads_a_quarter_more_than_its_rows_at_most(tmp_path, reads):
    """One lane of two, in blocks that begin anywhere, through a cache of two blocks."""
    examples = some_examples(4000, seed=3)
    prepare(tmp_path / "prepared", [[examples, examples[:1500]], [examples, examples[:2000]]])
    upload(tmp_path / "prepared")
    limit = 400_000
    shards = Shards.open(URL, tmp_path / "cache", cache_bytes=limit)
    for block in blocks_of_rows(5500 + 77, 5500 + 6000, 1):
        for rows in np.array_split(block, 20):
            shards.lengths(rows)
            shards.examples(rows)
        assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) <= limit
    own = sum(sum(shard.info.sizes.values()) for shard in shards.manifest.shards[2:])
    assert own > 3 * limit
    assert 0.7 * own < shards.bytes_read < 1.25 * own


def test_a_cache_that_is_too_small_is_slow_and_right(folder, tmp_path, reads, examples):
    upload(folder)
    shards = Shards.open(URL, tmp_path, cache_bytes=1000)
    for seed in range(2):
        rows = np.random.default_rng(seed).permutation(len(shards))[:200]
        assert_same(shards.examples(rows), [examples[row] for row in rows])


def test_the_cache_may_vanish_at_any_time(folder, tmp_path, reads, examples):
    upload(folder)
    shards = Shards.open(URL, tmp_path / "cache")
    rows = np.arange(0, 3500, 50)
    for _ in range(2):
        assert_same(shards.examples(rows), [examples[row] for row in rows])
        shutil.rmtree(tmp_path / "cache")


def test_a_store_that_fails_every_third_read(folder, tmp_path, every_third_fails, examples):
    upload(folder)
    shards = Shards.open(URL, tmp_path)
    rows = np.random.default_rng(0).permutation(len(shards))
    for some in np.array_split(rows, 30):
        assert_same(shards.examples(some), [examples[row] for row in some])
        assert shards.lengths(some).tolist() == lengths_of([examples[row] for row in some])
    assert every_third_fails.calls > 15


LAST = shard_name(3)


@pytest.fixture
def copy(folder, tmp_path, reads):
    """A copy that a test damages."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(params=["folder", "url"])
def opened_then_damaged(request, copy, tmp_path):
    """Opens the data, damages a file, and gives what reads it."""

    def damage(name: str, change) -> Shards:
        upload(copy)
        shards = Shards.open(copy if request.param == "folder" else URL, tmp_path / "cache")
        content = change((copy / name).read_bytes())
        if content is None:
            (copy / name).unlink()
            fsspec.filesystem("memory").rm(f"/bucket/prepared/{name}")
        else:
            (copy / name).write_bytes(content)
            upload(copy)
        return shards

    return damage


@pytest.mark.parametrize("name", [LAST, LAST + LENGTHS, LAST + INDEX])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: None, "is missing"),
        (lambda content: content[:20], "ends before byte"),
        (lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:], "are not those that"),
    ],
    ids=["vanished", "truncated", "changed"],
)
def test_a_shard_that_changes_while_it_is_read_is_named(opened_then_damaged, name, change, message):
    shards = opened_then_damaged(name, change)
    read = shards.lengths if name.endswith(LENGTHS) else shards.examples
    with pytest.raises(UserError, match=rf"(copy|prepared)/{name}: .*{message}.*copy it there again") as error:
        read(np.array([1001 + 5]))
    assert "\n" not in str(error.value)
    assert len(shards.examples(np.array([5, 900]))) == 2, "the other shards are whole"


def test_the_index_of_another_shard_is_refused(copy, tmp_path):
    """Two shards of equal sizes, whose files were mixed up."""
    part = some_examples(50, seed=5)
    manifest = prepare(tmp_path / "two", [[part, part]])
    one, two = (tmp_path / "two" / (shard.info.name + INDEX) for shard in manifest.shards)
    content = one.read_bytes()
    two.write_bytes(content)
    with pytest.raises(UserError, match=f"{two.name}: "):
        Shards.open(tmp_path / "two", tmp_path).examples(np.array([60]))


def test_a_truncated_or_missing_shard_is_refused_at_the_start(copy, tmp_path):
    content = (copy / LAST).read_bytes()
    (copy / LAST).write_bytes(content[:-1])
    upload(copy)
    for place in (copy, URL):
        with pytest.raises(UsageError, match=f"{LAST} has {len(content) - 1} bytes instead of {len(content)}"):
            Shards.open(place, tmp_path)
    (copy / LAST).unlink()
    with pytest.raises(UsageError, match=f"{LAST} is missing"):
        Shards.open(copy, tmp_path)


def test_two_processes_share_the_cache(folder, tmp_path, examples):
    """Two pickled copies read through fsspec's `local://` and fetch the same pieces at about the same time."""
    shards = Shards.open(f"local://{folder}", tmp_path, cache_bytes=350_000)
    shards.examples(np.arange(500))
    pickled = pickle.dumps(shards)
    assert len(pickled) < 10_000
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(_read_all, [(pickled, seed) for seed in range(2)])
    for seed, texts in enumerate(found):
        rows = np.random.default_rng(seed).permutation(len(examples))
        assert texts == [examples[row].ids[0].tolist() for row in rows]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 400_000


def _read_all(pickled: bytes, seed: int) -> list[list[int]]:
    shards = pickle.loads(pickled)
    rows = np.random.default_rng(seed).permutation(len(shards))
    return [example.ids[0].tolist() for some in np.array_split(rows, 20) for example in shards.examples(some)]


def test_texts_that_no_example_has_are_empty(tmp_path):
    examples = some_examples(30)
    prepare(tmp_path, [[examples]], Layout(5, "uint16"))
    shards = Shards.open(tmp_path, tmp_path)
    assert shards.lengths(np.arange(30)).tolist() == [row + [0, 0] for row in lengths_of(examples)]
    assert_same(shards.examples(np.arange(30)), examples)
