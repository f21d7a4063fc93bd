"""Rows with lists of positives and hard negatives, lines that are lists, and triples of columns."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxemb.config import DataConfig, HoldoutConfig, JsonlSource, TokenizerConfig, TsvSource
from jaxemb.data import gather, train_tokenizer
from jaxemb.data.pairs.alternatives import MOST, Alternatives, alternatives
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.preparing.finishing import STARTS
from jaxemb.data.sources import source_parts
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine
from support.batches import batches_of, stored

# github.com/FlagOpen/FlagEmbedding, examples/finetune/embedder/README.md, "Data format", and toy_finetune_data.jsonl.
FLAG = [
    {"query": "Five women walk.", "pos": ["Some women walk."], "neg": ["They sit.", "A man talks.", "It is over."]},
    {"query": "A dog runs.", "pos": ["A dog is running.", "An animal runs."], "neg": ["A cat runs."], "prompt": "p"},
    {"query": "A boat.", "pos": ["One ship."], "neg": []},
    {"query": "A plane.", "pos": [], "neg": ["A train."]},
]
# github.com/texttron/tevatron, docs/datasets.md ("Relevancy Judged Dataset"); a title and a text are joined by a space
# in src/tevatron/retriever/dataset.py.
TEVATRON = {
    "query_id": "7",
    "query": "what is a dog",
    "positive_passages": [{"docid": "1", "title": "Dog", "text": "The dog is a mammal."}],
    "negative_passages": [
        {"docid": "2", "title": "", "text": "The cat is a mammal."},
        {"docid": "3", "text": "The log is of wood."},
    ],
}


def read(source, root):
    return [item for part in source_parts(source, str(root)) for item in part.read()]


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def flag(**more):
    return JsonlSource(path="x.jsonl", anchor_key="query", positive_key="pos", negative_keys=("neg",), **more)


def test_flag_embedding_s_lists(tmp_path):
    write(tmp_path / "x.jsonl", FLAG)
    many, two, none, no_positive = read(flag(negatives=2), tmp_path)
    assert [record.anchor for record in many.records] == ["Five women walk."] * 2
    assert {text for record in many.records for text in record.negatives} == set(FLAG[0]["neg"])
    assert {record.positive for record in two.records} == set(FLAG[1]["pos"])
    assert {record.negatives for record in two.records} == {("A cat runs.",) * 2}
    assert {record.id for record in two.records} == {"x.jsonl:2"}
    assert (none, no_positive) == (Skipped("en", "no_negative"), Skipped("en", "no_positive"))


def test_several_negatives_need_their_number(tmp_path):
    write(tmp_path / "x.jsonl", FLAG)
    items = read(flag(), tmp_path)
    assert all(isinstance(item, BadLine) for item in items[:3])
    assert items[0].reason == "neg is a list; several negatives need `negatives` of the source, the number to draw"
    with pytest.raises(ValueError, match="negatives: set negative_keys, too"):
        JsonlSource(path="x.jsonl", negatives=2)
    with pytest.raises(UserError, match=r"x.jsonl: 3 of 4 lines .* line 1, neg is a list; several negatives need"):
        gather(config(flag(), tmp_path), 0)


def test_lists_of_positives_alone(tmp_path):
    write(tmp_path / "x.jsonl", FLAG[:2])
    one, two = read(JsonlSource(path="x.jsonl", anchor_key="query", positive_key="pos"), tmp_path)
    assert (one.positive, one.negatives) == ("Some women walk.", ())
    assert [(record.positive, record.negatives) for record in two.records] != []
    assert {record.positive for record in two.records} == set(FLAG[1]["pos"])


def test_tevatron_s_passages_with_titles(tmp_path):
    write(tmp_path / "x.jsonl", [TEVATRON])
    source = JsonlSource(
        path="x.jsonl", anchor_key="query", positive_key="positive_passages", negative_keys=("negative_passages",),
        negatives=2,
    )  # fmt: skip
    (record,) = read(source, tmp_path)
    assert (record.anchor, record.positive) == ("what is a dog", "Dog The dog is a mammal.")
    assert sorted(record.negatives) == ["The cat is a mammal.", "The log is of wood."]


def test_lines_that_are_lists(tmp_path):
    """huggingface.co/datasets/sentence-transformers/embedding-training-data, README: pairs and triplets."""
    write(tmp_path / "x.jsonl", [["a", "b"], ["a", "b", "c"], ["a"], ["a", 3], [], {"anchor": "d", "positive": "e"}])
    first, second, *bad, last = read(JsonlSource(path="x.jsonl"), tmp_path)
    assert [(record.anchor, record.positive, record.negatives) for record in (first, second, last)] == [
        ("a", "b", ()), ("a", "b", ()), ("d", "e", ()),
    ]  # fmt: skip
    assert [item.reason for item in bad] == ["not a JSON object", "positive is no text but int", "not a JSON object"]
    without, with_negative, *_ = read(JsonlSource(path="x.jsonl", negative_keys=("negative",)), tmp_path)
    assert without.reason == "no field 'negative'; there are 'anchor', 'positive'"
    assert with_negative.negatives == ("c",)


def test_sets_of_texts(tmp_path):
    """huggingface.co/datasets/sentence-transformers/embedding-training-data, README: sets, `{"set": [...]}`."""
    write(tmp_path / "x.jsonl", [{"set": ["a", "b", "c", "a"]}, {"set": ["a", "b"]}, {"set": ["a"]}, {"set": ["a", 3]}])
    items = read(JsonlSource(path="x.jsonl", anchor_key="set", positive_key="set"), tmp_path)
    three, two, one, bad = items
    pairs = [(record.anchor, record.positive) for record in three.records]
    assert sorted(anchor for anchor, _ in pairs) == sorted(positive for _, positive in pairs) == ["a", "b", "c"]
    assert all(anchor != positive for anchor, positive in pairs)
    assert {two.anchor, two.positive} == {"a", "b"}
    assert one == Skipped("en", "no_positive")
    assert bad.reason == "set is no text but int"
    (tmp_path / "y.jsonl").write_text(json.dumps({"set": [str(number) for number in range(100)]}) + "\n")
    (many,) = read(JsonlSource(path="y.jsonl", anchor_key="set", positive_key="set"), tmp_path)
    assert len(many.records) == MOST
    (labelled,) = read(JsonlSource(path="y.jsonl", anchor_key="set", positive_key="set", label_key="y"), tmp_path)
    assert labelled.reason == "set is a set of texts, which has no negatives, labels or scores"


def test_triples_of_ms_marco(tmp_path):
    """github.com/microsoft/MSMARCO-Passage-Ranking: triples.train.small.tsv is query, positive, negative, by tabs."""
    (tmp_path / "triples.tsv").write_text("a query\ta passage\tanother passage\na query\tshort\n")
    source = TsvSource(path="triples.tsv", positive_lang="en", negative_column=2)
    record, bad = read(source, tmp_path)
    assert (record.anchor, record.positive, record.negatives) == ("a query", "a passage", ("another passage",))
    assert bad.reason == "2 columns where at least 3 are needed"
    assert source.gives == {"negatives"}
    assert TsvSource(path="triples.tsv").gives == frozenset()


def test_empty_lines_are_skipped_and_counted(tmp_path):
    (tmp_path / "x.jsonl").write_text('["a", "b"]\n\n{"anchor": "c", "positive": "d"}\n \n')
    items = read(JsonlSource(path="x.jsonl", positive_lang="de"), tmp_path)
    assert [item.id for item in items if isinstance(item, Record)] == ["x.jsonl:1", "x.jsonl:3"]
    assert items[1] == items[3] == Skipped("de", "empty_line")


ROW = Record("q", "p0", anchor_lang="en", positive_lang="en", source="s", id="s:1")


@pytest.mark.parametrize(("positives", "negatives", "count"), [(1, 5, 2), (3, 2, 1), (4, 9, 3), (2, 3, 5), (1, 8, 1)])
def test_all_texts_have_their_turn(positives, negatives, count):
    right, wrong = ([f"{name}{n}" for n in range(size)] for name, size in (("p", positives), ("n", negatives)))
    found = alternatives(ROW, right, wrong, count)
    assert isinstance(found, Alternatives)
    assert {record.positive for record in found.records} == set(right)
    assert {text for record in found.records for text in record.negatives} == set(wrong)
    assert len(set(found.records)) == len(found.records) == max(positives, -(-negatives // count))
    for record in found.records:
        assert len(record.negatives) == count
        assert len(set(record.negatives)) == min(count, negatives)  # a text comes again only where there is no other
    assert found == alternatives(ROW, right, wrong, count)


def test_a_positive_of_the_row_is_no_negative_of_it():
    found = alternatives(ROW, ["p0", "p1"], ["p1", "n0", "n1", "n0"], 2)
    assert {frozenset(record.negatives) for record in found.records} == {frozenset({"n0", "n1"})}


def test_the_number_of_alternatives_is_limited():
    found = alternatives(ROW, ["p0"], [f"n{n}" for n in range(1000)], 1)
    assert len(found.records) == MOST
    assert len({text for record in found.records for text in record.negatives}) == MOST


def config(source, root, **more):
    return DataConfig(
        root=str(root), sources=(source,), holdout=HoldoutConfig(pairs_per_language=0), cache_dir=str(root / "cache"),
        max_length=16, length_buckets=(16,), window=1, **more,
    )  # fmt: skip


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_an_epoch_takes_one_example_of_each_row_and_the_next_another(tmp_path, exponent):
    counts = [1, 2, 3, 4, 5, 1, 2, 3]
    lines = [
        {"query": f"query {row}", "pos": [f"right {row} {n}" for n in range(count)], "neg": [f"wrong {row}"]}
        for row, count in enumerate(counts)
    ]
    write(tmp_path / "x.jsonl", lines)
    data_config = config(flag(negatives=2), tmp_path, language_exponent=exponent)
    data = gather(data_config, 0)
    assert (data.examples, data.epoch) == (sum(counts), len(counts))
    tokenizer = train_tokenizer(data, TokenizerConfig(vocab_size=80, min_frequency=1), 16)
    examples = stored(data, data_config, tokenizer)
    assert (examples.examples, examples.epoch) == (data.examples, data.epoch)
    batches = batches_of(examples, data_config, 4, seed=3)
    positives = {row: [] for row in range(len(counts))}
    for step in range(2 * 60):  # 60 epochs of two batches
        batch = batches.batch(step)
        texts = {
            side: tokenizer.batch_decode(batch[side]["input_ids"], skip_special_tokens=True)
            for side in ("anchor", "positive", "negative", "negative_1")
        }
        np.testing.assert_array_equal(batch["negative_hash"], batch["negative_1_hash"])
        for anchor, positive, negative in zip(texts["anchor"], texts["positive"], texts["negative"], strict=True):
            row = int(anchor.split()[1])
            assert negative == f"wrong {row}"
            positives[row].append(positive)
    for row, count in enumerate(counts):
        assert len(positives[row]) == 60
        assert positives[row][:count] == positives[row][count : 2 * count]
        assert set(positives[row][:count]) == set(lines[row]["pos"])
    again = batches_of(examples, data_config, 4, seed=3).batch(77)
    np.testing.assert_array_equal(again["id"], batches.batch(77)["id"])
    others = [[batches_of(examples, data_config, 4, seed).batch(step)["id"] for step in (0, 1)] for seed in range(4)]
    assert len({frozenset(np.concatenate(ids).tolist()) for ids in others}) > 1  # the seed draws, too
    with pytest.raises(UserError, match="9 examples a batch, but there are only 8 to train on"):
        batches_of(examples, data_config, 9, seed=0)


def test_rows_of_one_example_each_are_not_told_apart(tmp_path):
    write(tmp_path / "x.jsonl", [{"anchor": f"a {n}", "positive": "b"} for n in range(5)])
    data_config = config(JsonlSource(path="x.jsonl"), tmp_path)
    data = gather(data_config, 0)
    examples = stored(data, data_config, train_tokenizer(data, TokenizerConfig(vocab_size=80, min_frequency=1), 16))
    assert examples.starts is None
    assert data.epoch == examples.epoch == 5
    assert not (Path(examples.place) / STARTS).exists()


def test_a_row_that_loses_examples_keeps_the_others(tmp_path):
    lines = [{"query": f"query {n}", "pos": [f"right {n}", "x" * 2000, f"good {n}"], "neg": ["n"]} for n in range(4)]
    write(tmp_path / "x.jsonl", lines)
    data_config = config(flag(negatives=1), tmp_path)
    data = gather(data_config, 0)
    assert data.report["totals"]["dropped"] == {"too_long": 4}
    examples = stored(data, data_config, train_tokenizer(data, TokenizerConfig(vocab_size=80, min_frequency=1), 16))
    assert np.diff(examples.starts, append=examples.examples).tolist() == [2, 2, 2, 2]
