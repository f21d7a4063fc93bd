import collections
import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from data.conftest import write_corpus
from jaxemb.config import DataConfig, HoldoutConfig, JsonlSource, TextSource, TokenizerConfig, TsvSource
from jaxemb.data import Encoding, StoredData, cached_shards, gather, train_tokenizer, write_shards
from jaxemb.data.batches import pad
from jaxemb.data.cut import Cut, describe_cut
from jaxemb.data.pairs.normalize import text_hash
from jaxemb.data.preparing import local, tokens, writing
from jaxemb.errors import UsageError
from jaxemb.files import is_partial
from support.batches import batches_of, examples_of, stored

PROMPTS = ("query: ", "query: ")


@pytest.fixture(scope="module")
def trained(gathered):
    return train_tokenizer(gathered, TokenizerConfig(vocab_size=300), max_length=16)


@pytest.fixture
def tokenizer(trained):
    """A copy that the test may change."""
    return copy.deepcopy(trained)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("config"))


def records_of(gathered, data: StoredData):
    """The training records in the order of the shards, found by the hashes of their texts."""
    by_hashes = {(text_hash(record.anchor), text_hash(record.positive)): record for record in gathered.records()}
    return [by_hashes.pop(tuple(example.hashes.tolist())) for example in data.shards.examples(np.arange(data.examples))]


def expected_ids(tokenizer, records, prompts, **settings):
    """Token ids as the tokenizer gives them, of each side."""
    sides = ([prompts[0] + r.anchor for r in records], [prompts[1] + r.positive for r in records])
    return [tokenizer(side, truncation=True, **settings) for side in sides]


def found_ids(data, rows, max_length):
    return [[ids.tolist() for ids in side] for side in examples_of(data, max_length).read(rows)[0]]


def test_rows_are_the_tokenizer_s(gathered, config, tokenizer):
    data = stored(gathered, config, tokenizer, PROMPTS)
    examples, records = examples_of(data, 8), records_of(gathered, data)
    assert len(examples) == data.examples == gathered.examples == len(records)
    rows = np.array([5, len(examples) - 1, 0, 5])
    sides = [pad(side, 10, 0) for side in examples.read(rows)[0]]
    wanted = expected_ids(tokenizer, [records[row] for row in rows], PROMPTS, max_length=8, padding="max_length")
    for number, (side, expected) in enumerate(zip(sides, wanted, strict=True)):
        for key in ("input_ids", "attention_mask"):
            assert side[key].dtype == np.int32
            assert side[key].shape == (4, 10)
            np.testing.assert_array_equal(side[key][:, :8], expected[key])
            assert not side[key][:, 8:].any()
        np.testing.assert_array_equal(examples.lengths[rows][:, number], side["attention_mask"].sum(axis=1))


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_set_of_shards_serves_every_length(gathered, config, tokenizer, side):
    tokenizer.truncation_side = side
    data = stored(gathered, config, tokenizer, PROMPTS)
    records = records_of(gathered, data)
    rows = np.arange(data.examples)
    whole = [tokenizer([PROMPTS[0] + record.anchor for record in records])["input_ids"]]
    for max_length in (3, 5, 8, 64, 512):
        expected = [ids["input_ids"] for ids in expected_ids(tokenizer, records, PROMPTS, max_length=max_length)]
        assert found_ids(data, rows, max_length) == expected
        assert (expected[0] == whole[0]) == (max_length >= 64)
        lengths = examples_of(data, max_length).lengths[rows]
        assert lengths.T.tolist() == [[len(ids) for ids in side] for side in expected]


def test_the_sides_of_truncation_share_the_token_ids(gathered, config, tokenizer, monkeypatch):
    data = stored(gathered, config, tokenizer)
    tokenizer.truncation_side = "left"
    monkeypatch.setattr(tokens, "_write", lambda *_: pytest.fail("tokenized again"))
    left = stored(gathered, config, tokenizer)
    assert left.place != data.place
    rows = np.arange(20)
    for one, other in zip(found_ids(data, rows, 4)[0], found_ids(left, rows, 4)[0], strict=True):
        assert (one[0], one[-1]) == (other[0], other[-1])
    assert found_ids(data, rows, 4) != found_ids(left, rows, 4)
    assert found_ids(data, rows, 64) == found_ids(left, rows, 64)


def test_each_side_has_its_prompt(gathered, config, tokenizer):
    prompts = ("query: ", "passage: ")
    data = stored(gathered, config, tokenizer, prompts)
    records = records_of(gathered, data)
    expected = [ids["input_ids"] for ids in expected_ids(tokenizer, records, prompts, max_length=12)]
    assert found_ids(data, np.arange(len(records)), 12) == expected
    places = {stored(gathered, config, tokenizer, both).place for both in (PROMPTS, ("query: ", ""), ("", "query: "))}
    assert len(places | {data.place}) == 4
    assert data.manifest.sources[0].prompts == prompts


def test_a_sentence_under_two_prompts_is_two_texts(tmp_path, tokenizer):
    lines = ["one two", "three four"]
    (tmp_path / "text.txt").write_text("".join(f"{line}\n" for line in lines))
    config = DataConfig(
        root=str(tmp_path), sources=(TextSource(path="text.txt"),), holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    gathered = gather(config, 0)
    data = stored(gathered, config, tokenizer, ("query: ", "passage: "))
    records = records_of(gathered, data)
    assert sorted(record.anchor for record in records) == sorted(lines)
    for ids, prompt in zip(found_ids(data, np.arange(2), 32), ("query", "passage"), strict=True):
        assert ids == tokenizer([f"{prompt}: {record.anchor}" for record in records])["input_ids"]


def test_equal_texts_and_only_they_have_equal_hashes(gathered, config, tokenizer):
    data = stored(gathered, config, tokenizer)
    rows = np.arange(data.examples)
    columns = examples_of(data).read(rows)[1]
    assert columns.keys() == {"anchor_hash", "positive_hash"}
    anchors, positives = columns.values()
    assert anchors.dtype == positives.dtype == np.uint32
    assert anchors.shape == positives.shape == (data.examples, 2)
    expected = [ids["input_ids"] for ids in expected_ids(tokenizer, records_of(gathered, data), ("", ""))]
    assert found_ids(data, rows, 64) == expected  # so these are the texts:
    records = records_of(gathered, data)
    for hashes, texts in ((anchors, [r.anchor for r in records]), (positives, [r.positive for r in records])):
        pairs = set(zip(map(tuple, hashes.tolist()), texts, strict=True))
        assert len(pairs) == len({pair for pair, _ in pairs}) == len(set(texts))


def test_the_cache_is_used_and_keyed_by_what_matters(gathered, config, trained, tokenizer, monkeypatch):
    before = tokenizer.backend_tokenizer.to_str()
    first = stored(gathered, config, tokenizer)
    assert tokenizer.backend_tokenizer.to_str() == before
    # Truncation that an earlier call left behind is not a difference, and neither is what batches are made with.
    tokenizer(["a long text " * 20], truncation=True, max_length=3)
    with monkeypatch.context() as patch:
        patch.setattr(local, "write_shards", lambda *_: pytest.fail("the cache was not used"))
        more = {"max_length": 9, "window": 2, "language_exponent": 0.5}
        assert stored(gathered, config.model_copy(update=more), tokenizer).place == first.place
    other = train_tokenizer(gathered, TokenizerConfig(vocab_size=250), max_length=16)
    reseeded = gather(write_corpus(Path(config.root)), seed=1)
    places = [
        first.place,
        stored(gathered, config, tokenizer, PROMPTS).place,
        stored(gathered, config, other).place,
        stored(reseeded, config, tokenizer).place,
    ]
    tokenizer.truncation_side = "left"
    places.append(stored(gathered, config, tokenizer).place)
    monkeypatch.setattr(local, "SHARD_ROWS", 200)
    places.append(stored(gathered, config, trained).place)
    assert len(set(places)) == len(places)


def test_the_faster_of_two_processes_wins(data_config, tokenizer, monkeypatch):
    """Of two that write the same shards at a time, neither reads what the other has not finished."""
    gathered = gather(data_config, 0)
    write, found = local.write_shards, []

    def slower(*arguments):
        monkeypatch.setattr(local, "write_shards", write)
        found.append(stored(gathered, data_config, tokenizer))
        write(*arguments)

    monkeypatch.setattr(local, "write_shards", slower)
    found.append(stored(gathered, data_config, tokenizer))
    assert found[0].place == found[1].place
    assert found[0].manifest.digest == found[1].manifest.digest
    left = [path.name for path in gathered.path.parent.iterdir()]
    assert not [name for name in left if is_partial(Path(name))]
    assert sorted(left) == sorted(["rows", gathered.path.name, Path(found[0].place).name])


def test_processes_read_parts_of_the_same_batches(gathered, config, tokenizer):
    """Each opens the shards itself."""
    whole, *parts = (stored(gathered, config, tokenizer) for _ in range(3))
    batch = batches_of(whole, config, 16, seed=0).batch(3)
    both = [batches_of(part, config, 16, 0, process_index=i, process_count=2).batch(3) for i, part in enumerate(parts)]
    for side in ("anchor", "positive"):
        joined = np.concatenate([part[side]["input_ids"] for part in both])
        np.testing.assert_array_equal(joined, batch[side]["input_ids"])
    np.testing.assert_array_equal(np.concatenate([part["id"] for part in both]), batch["id"])


def test_what_is_cut_is_counted_by_language(gathered, config, tokenizer):
    data = stored(gathered, config, tokenizer)
    counted = collections.defaultdict(Cut)
    for record in gathered.records():
        for language, text in ((record.anchor_lang, record.anchor), (record.positive_lang, record.positive)):
            length = len(tokenizer(text, add_special_tokens=False)["input_ids"])
            counted[language].add(min(length, 4), max(length - 4, 0))
    cut = data.cut(6)
    assert cut == counted
    assert 0 < cut["en"].cut_texts < cut["en"].texts
    line = describe_cut(cut, 6)
    assert line.startswith("warning: data.max_length = 6 cuts ")
    assert f"en {cut['en'].share:.1%} ({cut['en'].token_share:.1%})" in line
    assert describe_cut(data.cut(40), 40) == "data.max_length = 40 cuts 0.0% of the texts (0.0% of the tokens)"
    prompted = stored(gathered, config, tokenizer, PROMPTS).cut(6)
    assert prompted["en"].tokens > cut["en"].tokens  # a prompt is part of the text


def test_a_sentence_with_itself_is_one_text(tmp_path, tokenizer):
    (tmp_path / "text.txt").write_text("one two\nthree four five\n")
    (tmp_path / "en-de.tsv").write_text("six\tacht neun\n")
    config = DataConfig(
        root=str(tmp_path), sources=(TextSource(path="text.txt", language="en"), TsvSource(path="en-de.tsv")),
        holdout=HoldoutConfig(pairs_per_language=0), cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    gathered = gather(config, 0)
    data = stored(gathered, config, tokenizer)
    assert {language: cut.texts for language, cut in data.cut(64).items()} == {"en": 3, "de": 1}
    records = records_of(gathered, data)
    single = [record.anchor == record.positive for record in records]
    assert data.is_single(np.arange(3)).tolist() == single
    assert data.is_single(np.array([2, 0])).tolist() == [single[2], single[0]]
    assert sum(single) == 2


def test_large_vocabularies(gathered, config, tokenizer):
    # Ids beyond 16 bits, as in LaBSE and XLM-R.
    tokenizer.add_tokens([f"extra{i}" for i in range(70_000)] + ["Datei"])

    def largest():
        sides = found_ids(data := stored(gathered, config, tokenizer), np.arange(data.examples), 16)
        return [max(itertools.chain(*side)) for side in sides]

    assert largest()[1] < 70_000  # "Datei" was in the vocabulary
    tokenizer.add_tokens(["Datei öffnet"])
    anchor, positive = largest()
    assert positive == len(tokenizer) - 1 > 1 << 16
    assert anchor < 300


def test_what_the_gathered_examples_say_is_kept(gathered, config, tokenizer, monkeypatch):
    """In one lane, and in several lanes of several shards."""
    data = stored(gathered, config, tokenizer)
    monkeypatch.setattr(writing, "LANE_ROWS", 100)
    monkeypatch.setattr(local, "SHARD_ROWS", 60)
    many = stored(gathered, config, tokenizer)
    assert (data.manifest.lanes, many.manifest.lanes) == (1, 4)
    assert len(many.manifest.shards) > 8
    for one in (data, many):
        assert one.report == gathered.report
        assert one.heldout == gathered.heldout
        assert one.languages == gathered.languages == ["de", "ja"]
        assert (one.epoch, one.largest_labels, one.starts) == (gathered.epoch, [None], None)
        assert collections.Counter(records_of(gathered, one)) == collections.Counter(gathered.records())
    epoch = data.order(config, 16, seed=0).rows(np.arange(data.examples))
    assert sorted(epoch.tolist()) == list(range(data.examples))
    order = many.order(config, 16, seed=0)
    assert order.streams == 4
    lanes = np.searchsorted(np.cumsum(many.manifest.counts.sum(axis=1)), order.rows(np.arange(200)), side="right")
    assert lanes.tolist() == [0, 1, 2, 3] * 50


def test_labels_and_the_largest_of_them(tmp_path, tokenizer):
    lines = [{"anchor": f"one {n}", "positive": f"two {n}", "y": n % 5, "s": n / 32} for n in range(20)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = DataConfig(
        root=str(tmp_path), sources=(JsonlSource(path="x.jsonl", label_key="y", score_key="s"),),
        holdout=HoldoutConfig(pairs_per_language=0), cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    gathered = gather(config, 0)
    data = stored(gathered, config, tokenizer)
    assert data.largest_labels == gathered.largest_labels == [4]
    columns = examples_of(data).read(np.arange(20))[1]
    found = zip(records_of(gathered, data), columns["label"].tolist(), columns["score"].tolist(), strict=True)
    assert all((record.label, record.score) == (label, score) for record, label, score in found)


def test_other_sources_than_those_of_the_config_are_refused(gathered, config, tokenizer):
    data = stored(gathered, config, tokenizer)
    other = config.model_copy(update={"sources": (*config.sources, TextSource(path="x.txt"))})
    with pytest.raises(UsageError, match=r"has 1 sources \(tsv\), data\.sources names 2 \(tsv, text\): they must be"):
        data.order(other, 16, seed=0)


def test_the_tokenizer_beside_the_shards_is_copied(gathered, config, tokenizer, tmp_path):
    beside = {"tokenizer/a.json": b"{}", "tokenizer/b.txt": b"text", "other.txt": b""}
    write_shards(gathered, config, Encoding.of(tokenizer), str(tmp_path / "out"), beside)
    StoredData(str(tmp_path / "out"), tmp_path).copy_tokenizer(tmp_path / "copy")
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == {
        "a.json": b"{}", "b.txt": b"text",
    }  # fmt: skip
    place = cached_shards(gathered, config, Encoding.of(tokenizer))
    with pytest.raises(UsageError, match=r"has no tokenizer/; set tokenizer\.path or model\.init_from"):
        StoredData(place, tmp_path).copy_tokenizer(tmp_path / "none")
