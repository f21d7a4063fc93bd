import collections
import hashlib
import json

import numpy as np
import pytest
import transformers

from data.preparing.test_tokens import tokenizer  # noqa: F401
from jaxemb.config import DataConfig, FilterConfig, HoldoutConfig, JsonlSource, TsvSource
from jaxemb.data.gathering import cleaning, duplicates, units
from jaxemb.data.gathering.gather import gather
from jaxemb.data.pairs.normalize import text_hash
from jaxemb.data.preparing import finishing, local, writing
from jaxemb.data.preparing.local import write_shards
from jaxemb.data.preparing.tokens import Encoding
from jaxemb.data.shards.manifest import Manifest
from jaxemb.data.shards.reader import Shards
from jaxemb.errors import UsageError


def word(number: int) -> str:
    return "".join("bcdfghjklmnpqrst"[number >> shift & 15] for shift in (8, 4, 0)) + "a" * (number % 7)


def pair(language: str, number: int) -> str:
    return f"a text of {word(number)}\t{language} {word(number + 7)} {word(number)}"


@pytest.fixture
def config(tmp_path) -> DataConfig:
    """Pairs of three languages in two sources, of which some are in both, and rows with several positives."""
    for language in ("de", "fr"):
        (tmp_path / f"en-{language}.tsv").write_text("\n".join(pair(language, n) for n in range(200)))
    (tmp_path / "more.tsv").write_text("\n".join(pair("de", n) for n in range(100, 300)))
    rows = (
        {"q": f"a query of {word(n)}", "p": [f"{which} {word(n)}" for which in ("one", "two", "three")][: n % 3 + 1]}
        for n in range(60)
    )
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return DataConfig(
        root=str(tmp_path),
        sources=(
            TsvSource(path="en-*.tsv"),
            TsvSource(path="more.tsv", positive_lang="de", anchor_prompt="q "),
            JsonlSource(path="rows.jsonl", anchor_key="q", positive_key="p"),
        ),
        filters=FilterConfig(max_length_ratio=1000),
        holdout=HoldoutConfig(pairs_per_language=10),
        cache_dir=str(tmp_path / "cache"),
    )


def checksums(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_shards_hold_the_training_examples(config, tmp_path, tokenizer, monkeypatch):  # noqa: F811
    monkeypatch.setattr(writing, "LANE_ROWS", 100)
    monkeypatch.setattr(local, "SHARD_ROWS", 30)
    data = gather(config, 0, workers=1)
    assert data.report["totals"]["dropped"]["duplicate"] == 100
    manifest = write_shards(data, config, Encoding.of(tokenizer), str(tmp_path / "out"))
    assert manifest.lanes == 4
    assert len(manifest.shards) > 12
    shards = Shards.open(str(tmp_path / "out"), tmp_path / "pieces")
    assert len(shards) == data.examples == manifest.examples == data.report["totals"]["train"]
    wanted = collections.Counter()
    for index, chunk in enumerate(data.corpus.chunks):
        for row in data.corpus.rows(index):
            values = chunk.table.slice(int(row), 1).to_pylist()[0]
            prompt = "q " if chunk.source == 1 else ""
            ids = tokenizer([prompt + values["anchor"], values["positive"]], add_special_tokens=False)["input_ids"]
            wanted[chunk.source, values["languages"], *map(tuple, ids), text_hash(values["anchor"])] += 1
    found = collections.Counter()
    begins = np.cumsum(manifest.counts.reshape(-1)) - manifest.counts.reshape(-1)
    examples = shards.examples(np.arange(len(shards)))
    for row, example in enumerate(examples):
        group = manifest.groups[(int(np.searchsorted(begins, row, "right")) - 1) % len(manifest.groups)]
        ids = (tuple(ids.tolist()) for ids in example.ids)
        found[group.source, f"{group.anchor_lang} {group.positive_lang}", *ids, int(example.hashes[0])] += 1
    assert found == wanted
    # Each row's examples follow each other, and an epoch takes one of each.
    starts = np.load(tmp_path / "out" / finishing.STARTS)
    assert len(starts) == data.epoch < len(shards)
    for start, stop in zip(starts, [*starts[1:], len(shards)], strict=True):
        assert len({int(example.hashes[0]) for example in examples[start:stop]}) == 1
    held = [json.loads(line) for line in (tmp_path / "out" / finishing.HELDOUT).read_text().splitlines()]
    assert collections.Counter(line["language"] for line in held) == {"de": 10, "fr": 10, "en": 10}
    assert sum(map(sum, manifest.report["lengths"].values())) == 2 * len(shards)
    assert sum(n * count for counts in manifest.report["lengths"].values() for n, count in enumerate(counts)) == sum(
        len(ids) for example in examples for ids in example.ids
    )


def test_the_shards_do_not_depend_on_how_they_are_made(config, tmp_path, tokenizer, monkeypatch):  # noqa: F811
    monkeypatch.setattr(writing, "LANE_ROWS", 100)
    first = write_shards(gather(config, 0, workers=1), config, Encoding.of(tokenizer), str(tmp_path / "a"))
    units.parts_of.cache_clear()
    for module, name, value in (
        (cleaning, "CHUNK_ROWS", 40), (units, "UNIT_BYTES", 1), (duplicates, "RANGE_ROWS", 50), (writing, "_BLOCK", 7),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    other = config.model_copy(update={"cache_dir": str(tmp_path / "cache2")})
    second = write_shards(gather(other, 0, workers=1), other, Encoding.of(tokenizer), str(tmp_path / "b"))
    assert [shard.info for shard in first.shards] == [shard.info for shard in second.shards]
    assert checksums(tmp_path / "a").keys() == checksums(tmp_path / "b").keys()
    differ = {name for name, value in checksums(tmp_path / "a").items() if checksums(tmp_path / "b")[name] != value}
    assert differ <= {"manifest.json"}


def test_an_interrupted_preparation_goes_on(config, tmp_path, tokenizer, monkeypatch):  # noqa: F811
    monkeypatch.setattr(writing, "LANE_ROWS", 100)
    encoding = Encoding.of(tokenizer)
    whole = write_shards(gather(config, 0), config, encoding, str(tmp_path / "a"))
    write, written = local.write_shard, []

    def stop_at_the_third(folder, name, *rest):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        return write(folder, name, *rest)

    monkeypatch.setattr(local, "write_shard", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        write_shards(gather(config, 0), config, encoding, str(tmp_path / "b"))
    with pytest.raises(UsageError, match=r"is not finished"):
        Manifest.load(str(tmp_path / "b"))
    with pytest.raises(UsageError, match="has an unfinished preparation of other data"):
        write_shards(gather(config, 1), config, encoding, str(tmp_path / "b"))
    written.clear()
    monkeypatch.setattr(
        local, "write_shard", lambda folder, name, *rest: written.append(name) or write(folder, name, *rest)
    )
    again = write_shards(gather(config, 0), config, encoding, str(tmp_path / "b"))
    assert len(written) == len(whole.shards) - 2
    assert again.digest == whole.digest
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b")
    with pytest.raises(UsageError, match="b: has prepared data; choose another --output"):
        write_shards(gather(config, 0), config, encoding, str(tmp_path / "b"))


def test_a_url_receives_the_same_files(config, tmp_path, tokenizer, memory_store):  # noqa: F811
    encoding = Encoding.of(tokenizer)
    whole = write_shards(gather(config, 0), config, encoding, str(tmp_path / "a"))
    url = "memory://prepared/here"
    assert write_shards(gather(config, 0), config, encoding, url).digest == whole.digest
    there = {
        path.rpartition("/")[2]: memory_store.cat_file(path) for path in memory_store.ls("/prepared/here", detail=False)
    }
    assert {name: hashlib.sha256(content).hexdigest() for name, content in there.items()} == checksums(tmp_path / "a")
    assert len(Shards.open(url, tmp_path / "pieces")) == whole.examples


@pytest.fixture
def memory_store():
    import fsspec

    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()


def test_the_number_of_processes_does_not_matter(config, tmp_path, tokenizer, monkeypatch):  # noqa: F811
    monkeypatch.setattr(writing, "LANE_ROWS", 100)
    monkeypatch.setattr(local, "SMALL", 0)
    data = gather(config, 0, workers=1)
    assert isinstance(tokenizer, transformers.PreTrainedTokenizerFast)
    write_shards(data, config, Encoding.of(tokenizer), str(tmp_path / "a"), workers=1)
    write_shards(data, config, Encoding.of(tokenizer), str(tmp_path / "b"), workers=2)
    assert checksums(tmp_path / "a") == checksums(tmp_path / "b")
