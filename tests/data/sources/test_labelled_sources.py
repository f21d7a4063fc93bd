"""Sources of examples with labels, scores, hard negatives, or of single sentences."""

import gzip
import json
import shutil

import numpy as np
import pytest

from jaxemb.config import (
    DataConfig,
    HoldoutConfig,
    JsonlSource,
    NliSource,
    StsSource,
    TextSource,
    TfdsSource,
    TokenizerConfig,
    TsvSource,
)
from jaxemb.data import gather, train_tokenizer
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import source_parts
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine
from support.batches import batches_of, stored


def read(source, root):
    return [item for part in source_parts(source, str(root)) for item in part.read()]


def english(anchor, positive, *rest, **more):
    return Record(anchor, positive, *rest, anchor_lang="en", positive_lang="en", **more)


def test_sentences_are_their_own_positives(tmp_path):
    (tmp_path / "wiki.txt.gz").write_bytes(gzip.compress(b"One.\nTwo.\n\xff\n"))
    one, two, bad = read(TextSource(path="wiki.txt.gz"), tmp_path)
    assert one == english("One.", "One.", source="wiki.txt.gz", id="wiki.txt.gz:1")
    assert (two.anchor, bad.line) == ("Two.", 3)
    (tmp_path / "wiki.tsv").write_text("a\tb\nc\n")
    column, bad = read(TextSource(path="wiki.tsv", column=1, language="de"), tmp_path)
    assert (column.anchor, column.positive_lang, bad.reason) == ("b", "de", "1 columns where column 1 is wanted")
    (tmp_path / "halves.jsonl").write_text('{"text": "\\ud83d\\ude42"}\n{"text": "a \\uD83D"}\n')
    smile, half = read(TextSource(path="halves.jsonl"), tmp_path)
    assert (smile.anchor, half.line) == ("🙂", 2)
    assert half.reason == "half of a character, which is no valid Unicode"
    (tmp_path / "wiki.jsonl").write_text('{"text": "a", "title": "t"}\nno\n{"title": 3}\n')
    found = read(TextSource(path="wiki.jsonl"), tmp_path)
    assert [getattr(item, "anchor", None) or item.reason for item in found] == [
        "a", "not JSON", "no text under the key 'text'",
    ]  # fmt: skip
    assert read(TextSource(path="wiki.jsonl", column="title"), tmp_path)[0].anchor == "t"
    with pytest.raises(UserError, match=r"wiki.jsonl: column of the text source is 1, it must be a key"):
        read(TextSource(path="wiki.jsonl", column=1), tmp_path)
    with pytest.raises(UserError, match=r"no such file \(path of a source of kind text"):
        read(TextSource(path="nowhere.txt"), tmp_path)


def test_sentences_by_the_name_of_their_column(tmp_path):
    """A header as of XNLI's xnli.dev.tsv, with `split` as in AllNLI of sbert.net."""
    (tmp_path / "x.tsv").write_text("language\tsplit\tsentence1\nen\ttrain\ta\nde\ttrain\tb\nen\tdev\tc\n")
    items = read(TextSource(path="x.tsv", column="sentence1"), tmp_path)
    assert [getattr(item, "anchor", None) or item.reason for item in items] == ["a", "other_language", "other_split"]
    items = read(TextSource(path="x.tsv", column=2, header=True, language=None, split=None), tmp_path)
    assert [(item.anchor, item.anchor_lang) for item in items] == [("a", "en"), ("b", "de"), ("c", "en")]
    with pytest.raises(UserError, match=r"the header has no column 'text' \(column of the text source\); it names"):
        read(TextSource(path="x.tsv", column="text"), tmp_path)
    # as pandas.DataFrame.to_csv writes it
    (tmp_path / "en.csv").write_text(',sentence1,split\n0,"a, ""b""\nc",train\n1,d,test\n')
    items = read(TextSource(path="en.csv", column="sentence1", language=None), tmp_path)
    assert [getattr(item, "anchor", None) or item.reason for item in items] == ['a, "b"\nc', "other_split"]
    assert len(read(TextSource(path="en.csv"), tmp_path)) == 4  # plain lines
    (tmp_path / "x.jsonl").write_text('{"text": "a", "split": "train"}\n{"text": "b", "split": "test"}\n')
    items = read(TextSource(path="x.jsonl"), tmp_path)
    assert [getattr(item, "anchor", None) or item.reason for item in items] == ["a", "other_split"]
    with pytest.raises(UserError, match=r"header of the text source is true, but a \.jsonl has none"):
        read(TextSource(path="x.jsonl", header=True), tmp_path)


def test_sentences_of_tables_with_other_suffixes(tmp_path):
    """SICK.txt (zenodo.org/records/2787612); STSbenchmark's sts-dev.csv, between tabs (senteval/sts.py of SentEval)."""
    (tmp_path / "SICK.txt").write_text("pair_ID\tsentence_A\tSemEval_set\n1\ta\tTRAIN\n2\tb\tTEST\n")
    items = read(TextSource(path="SICK.txt", column="sentence_A"), tmp_path)
    assert [getattr(item, "anchor", None) or item.reason for item in items] == ["a", "other_split"]
    (tmp_path / "sts-dev.csv").write_text("g\tf\t2012\t1\t2.5\ta, b\tc\n")
    assert [item.anchor for item in read(TextSource(path="sts-dev.csv", column=5), tmp_path)] == ["a, b"]
    (tmp_path / "stsb-en-dev.csv").write_text('"a, b",c,2.5\n')
    assert [item.anchor for item in read(TextSource(path="stsb-en-dev.csv", column=0), tmp_path)] == ["a, b"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (TextSource(path="x.jsonl"), '{"text": "a"}\n\n  \n{"text": "b"}\n'),
        (TextSource(path="x.tsv", column=1), "-\ta\n\n  \n-\tb\n"),
        (NliSource(path="x.jsonl"), '{"sentence1": "a", "sentence2": "c", "gold_label": "neutral"}\n\n  \n'
         '{"sentence1": "b", "sentence2": "c", "gold_label": "neutral"}\n'),
        (StsSource(path="x.tsv"), "5\ta\tc\n\n  \n5\tb\tc\n"),
        (NliSource(path="x.tsv"), "premise\thypo\tlabel\na\tc\tneutral\n\n  \nb\tc\tneutral\n"),
    ],
)  # fmt: skip
def test_empty_lines_are_no_bad_lines(tmp_path, source, text):
    (tmp_path / source.path).write_text(text)
    first, *empty, last = read(source, tmp_path)
    assert (first.anchor, last.anchor) == ("a", "b")
    assert empty == [Skipped("en", "empty_line")] * 2


def test_the_language_of_sentences_in_the_name_of_their_file(tmp_path):
    for name in ("pt-br.txt", "de.txt.gz", "en-fr.tsv"):
        text = b"x\ty\n" if name.endswith("tsv") else b"x\n"
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    sentences = {
        (item.anchor, item.anchor_lang, item.positive_lang)
        for pattern, column in (("*.txt*", None), ("en-*.tsv", 1))
        for item in read(TextSource(path=pattern, column=column, language=None), tmp_path)
    }
    assert sentences == {("x", "pt-BR", "pt-BR"), ("x", "de", "de"), ("y", "fr", "fr")}
    (tmp_path / "corpus.1.txt").write_text("x\n")
    with pytest.raises(
        UserError, match=r"corpus.1.txt: the name does not give the language, as de.txt.gz does; set language of"
    ):
        source_parts(TextSource(path="corpus.1.txt", language=None), str(tmp_path))


SNLI = [
    {"gold_label": "entailment", "sentence1": "A dog runs.", "sentence2": "An animal moves."},
    {"gold_label": "-", "sentence1": "A dog runs.", "sentence2": "It is hot."},
    {"gold_label": "contradiction", "sentence1": "A dog runs.", "sentence2": "A dog sleeps."},
    {"gold_label": "neutral", "sentence1": "A dog runs.", "sentence2": "A brown dog runs."},
    {"gold_label": "entailment", "sentence1": "A dog  runs.", "sentence2": "Something runs."},
    {"gold_label": "entailment", "sentence1": "A man reads.", "sentence2": "Somebody reads."},
]


def test_natural_language_inference(tmp_path):
    (tmp_path / "snli.jsonl").write_text("".join(json.dumps(line) + "\n" for line in SNLI))
    found = read(NliSource(path="snli.jsonl"), tmp_path)
    assert found[0] == english("A dog runs.", "An animal moves.", (), 1, source="snli.jsonl", id="snli.jsonl:1")
    assert [getattr(item, "label", item) for item in found] == [1, Skipped("en", "no_agreement"), 0, 2, 1, 1]
    found = read(NliSource(path="snli.jsonl", triplets=True), tmp_path)
    # Two entailments, one contradiction: one triplet. The man has no contradiction.
    assert found == [
        english("A dog runs.", "An animal moves.", ("A dog sleeps.",), source="snli.jsonl", id="snli.jsonl:1"),
        Skipped("en", "no_triplet"),
    ]
    head = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    (tmp_path / "SICK.txt").write_text(
        f"{head}1\tA\tB\t4.5\tNEUTRAL\n2\tC\tD\t1\tCONTRADICTION\n3\tshort\n4\tA\tB\t1\tOTHER\n"
    )
    neutral, contradiction, short, other = read(NliSource(path="SICK.txt"), tmp_path)
    assert (neutral.anchor, neutral.positive, neutral.label, neutral.id) == ("A", "B", 2, "SICK.txt:2")
    assert contradiction.label == 0
    assert (short.line, short.reason) == (4, "2 columns where the header has 5")
    assert "the label 'other' is none of contradiction, entailment, neutral and -" in other.reason
    (tmp_path / "other.tsv").write_text("a\tb\n")
    with pytest.raises(UserError, match=r"other.tsv, line 1: the header names no sentence1"):
        read(NliSource(path="other.tsv"), tmp_path)
    (tmp_path / "bad.jsonl").write_text(
        '{"sentence1": "a"}\n[1]\n{"sentence1": 1, "sentence2": "a", "gold_label": "-"}\n'
    )
    assert [item.reason for item in read(NliSource(path="bad.jsonl"), tmp_path)] == [
        "needs sentence1, sentence2 and gold_label",
        "needs sentence1, sentence2 and gold_label",
        "a sentence is no text",
    ]


def test_real_sick_and_stsb(real_data):
    found = read(NliSource(path="sick/SICK_train.txt"), real_data)
    assert (len(found), sum(isinstance(item, Record) for item in found)) == (4500, 4500)
    assert np.bincount([item.label for item in found]).tolist() == [665, 1299, 2536]
    scored = read(StsSource(path="stsb/de.train.csv.gz", language="de"), real_data)
    assert len(scored) == 5749
    assert (scored[0].score, scored[0].anchor_lang) == (1.0, "de")


def test_scores_are_brought_to_one(tmp_path):
    (tmp_path / "en.train.csv").write_text('A plane.,"A plane, flying.",4.0\nA man.,A boat.,0.5\n')
    assert [(item.positive, item.score) for item in read(StsSource(path="en.train.csv"), tmp_path)] == [
        ("A plane, flying.", 0.8), ("A boat.", 0.1),
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"pair 1: a score of 4 is not between 0 and 1 \(max_score"):
        read(StsSource(path="en.train.csv", max_score=1.0), tmp_path)


def test_records_with_keys(tmp_path):
    lines = [
        {"q": "a", "p": "b", "n": "c", "m": "d", "y": 2, "s": 3},
        {"q": "a", "p": "b", "n": "c", "m": "d", "y": -1, "s": 3},
        {"q": "a", "p": 5, "n": "c", "m": "d", "y": 1, "s": 3},
        {"q": "a", "n": "c", "m": "d", "y": 1, "s": 3},
        {"q": "a", "p": "b", "n": "c", "m": "d", "y": 1.5, "s": 3},
        {"q": "a", "p": "b", "n": "c", "m": "d", "y": 1, "s": 9},
        {"q": "a", "p": "b", "n": "c", "m": "d", "y": None, "s": 3},
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "[]\nnothing\n")
    source = JsonlSource(
        path="x.jsonl", anchor_key="q", positive_key="p", negative_keys=("n", "m"), label_key="y", score_key="s",
        max_score=4.0, positive_lang="de",
    )  # fmt: skip
    record, skipped, *bad = read(source, tmp_path)
    assert record == Record("a", "b", ("c", "d"), 2, 0.75, "en", "de", "x.jsonl", "x.jsonl:1")
    assert skipped == Skipped("de", "no_agreement")
    assert [item.line for item in bad] == [3, 4, 5, 6, 7, 8, 9]
    assert [item.reason for item in bad[:2]] == [
        "p is no text but int", "no field 'p'; there are 'q', 'n', 'm', 'y', 's'",
    ]  # fmt: skip
    assert (bad[3].reason, bad[5].reason, bad[6].reason) == (
        "s is beyond max_score (4)", "not a JSON object", "not JSON",
    )  # fmt: skip
    numbers = ("NaN", "Infinity", "-2", "1.5", str(2**31), '"1"', "[1]", "null")
    (tmp_path / "y.jsonl").write_text("".join(f'{{"anchor": "a", "positive": "b", "y": {y}}}\n' for y in numbers))
    reasons = [item.reason for item in read(JsonlSource(path="y.jsonl", label_key="y", positive_lang="de"), tmp_path)]
    assert len(reasons) == len(numbers)
    assert all("y is " in reason and reason.endswith(", no whole number from 0") for reason in reasons)
    (alone,) = read(JsonlSource(path="x.jsonl", anchor_key="q", positive_key=None), tmp_path)[:1]
    assert (alone.anchor, alone.positive, alone.positive_lang) == ("a", "a", "en")
    with pytest.raises(ValueError, match="positive_key: null means single sentences"):
        JsonlSource(path="x.jsonl", positive_key=None, label_key="y")


# Fields as those of XNLI's xnli.dev.jsonl: language, gold_label, sentence1, ... (github.com/facebookresearch/XNLI)
XNLI = "".join(
    json.dumps({"language": language, "gold_label": "neutral", "sentence1": language, "sentence2": "x"}) + "\n"
    for language in ("en", "DE", "deu", "zh", "en-GB")
)


@pytest.mark.parametrize(
    ("anchor_lang", "positive_lang", "expected"),
    [
        ("en", "en", {"en": ("en", "en"), "en-GB": ("en-GB", "en-GB")}),
        ("de", "de", {"DE": ("de", "de"), "deu": ("de", "de")}),
        (None, "de", {"DE": ("de", "de"), "deu": ("de", "de")}),
        ("en", "de", {"DE": ("en", "de"), "deu": ("en", "de")}),
        (None, None, {"en": ("en", "en"), "DE": ("de", "de"), "deu": ("de", "de"), "zh": ("zh", "zh"),
                      "en-GB": ("en-GB", "en-GB")}),
        ("en", None, {"en": ("en", "en"), "DE": ("en", "de"), "deu": ("en", "de"), "zh": ("en", "zh"),
                      "en-GB": ("en", "en-GB")}),
    ],
)  # fmt: skip
def test_a_field_of_languages_selects_or_names_the_language(tmp_path, anchor_lang, positive_lang, expected):
    (tmp_path / "x.jsonl").write_text(XNLI)
    source = JsonlSource(
        path="x.jsonl", anchor_key="sentence1", positive_key="sentence2", anchor_lang=anchor_lang,
        positive_lang=positive_lang,
    )  # fmt: skip
    items = read(source, tmp_path)
    taken = {item.anchor: (item.anchor_lang, item.positive_lang) for item in items if isinstance(item, Record)}
    assert taken == expected
    skipped = [item for item in items if isinstance(item, Skipped)]
    assert len(skipped) == 5 - len(expected)
    assert {item.reason for item in skipped} <= {"other_language"}


def test_single_sentences_and_files_of_other_languages(tmp_path):
    (tmp_path / "x.jsonl").write_text(XNLI)
    alone = JsonlSource(path="x.jsonl", anchor_key="sentence1", positive_key=None, anchor_lang=None)
    languages = [(item.anchor_lang, item.positive_lang) for item in read(alone, tmp_path)]
    assert languages == [(tag, tag) for tag in ("en", "de", "de", "zh", "en-GB")]
    pairs = {"path": "x.jsonl", "anchor_key": "sentence1", "positive_key": "sentence2"}
    with pytest.raises(
        UserError, match=r"no row is of the language fr, there are en 1, de 2, zh 1, en-GB 1; choose with positive_lang"
    ):
        read(JsonlSource(**pairs, positive_lang="fr"), tmp_path)
    # A field that the source takes texts from is no language.
    assert all(isinstance(item, Record) for item in read(JsonlSource(**{**pairs, "anchor_key": "language"}), tmp_path))
    (tmp_path / "x.jsonl").write_text('{"sentence1": "a", "sentence2": "b"}\n')
    with pytest.raises(UserError, match=r"has no column of languages; set positive_lang of this source"):
        read(JsonlSource(**pairs, positive_lang=None), tmp_path)


@pytest.fixture(scope="module")
def prepared_tfds(tmp_path_factory):
    """A dataset as `tfds build --file_format=array_record` leaves it."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class TinyNli(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            label = tfds.features.ClassLabel(names=["entailment", "neutral", "contradiction"])
            texts = {name: tfds.features.Text() for name in ("premise", "hypothesis", "language")}
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({**texts, "label": label}))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for number in range(5):
                label, language = [-1, 0, 1, 2, 2][number], ["en", "en", "en", "en", "de"][number]
                yield number, {"premise": f"Sätze {number}", "hypothesis": "yes", "label": label, "language": language}

    folder = tmp_path_factory.mktemp("tfds")
    TinyNli(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


def test_tensorflow_datasets(prepared_tfds):
    source = TfdsSource(
        name="tiny_nli", data_dir=str(prepared_tfds), anchor_key="premise", positive_key="hypothesis", label_key="label"
    )
    found = read(source, ".")
    skipped = sorted((item.language, item.reason) for item in found if isinstance(item, Skipped))
    assert skipped == [("de", "other_language"), ("en", "no_agreement")]
    records = sorted((item for item in found if isinstance(item, Record)), key=lambda record: record.anchor)
    assert [(record.anchor, record.label) for record in records] == [
        (f"Sätze {n}", label) for n, label in enumerate((0, 1, 2), 1)
    ]
    with pytest.raises(UserError, match=r"the dataset tiny_nli has no split 'test'; splits: train"):
        read(source.model_copy(update={"split": "test"}), ".")
    with pytest.raises(UserError, match=r"the dataset tiny_mli, split train cannot be opened .* `tfds build tiny_mli"):
        read(source.model_copy(update={"name": "tiny_mli"}), ".")
    without = read(source.model_copy(update={"anchor_key": "text"}), ".")
    bad = next(item for item in without if isinstance(item, BadLine))
    assert "no field 'text'" in bad.reason


@pytest.mark.parametrize("damage", ["cut", "middle"])
def test_a_damaged_tensorflow_dataset(prepared_tfds, tmp_path, damage):
    shutil.copytree(prepared_tfds, tmp_path / "tfds")
    (path,) = tmp_path.rglob("*.array_record*")
    whole = path.read_bytes()
    records = whole.index("Sätze".encode())
    path.write_bytes(whole[:-20] if damage == "cut" else whole[:records] + bytes(8) + whole[records + 8 :])
    fields = {"anchor_key": "premise", "positive_key": "hypothesis"}
    with pytest.raises(
        UserError, match=r"tiny_nli/1\.0\.0: the dataset tiny_nli, split train, is truncated or corrupt \("
    ):
        read(TfdsSource(name="tiny_nli", data_dir=str(tmp_path / "tfds"), **fields), ".")


def first_batch(source, root, size):
    """The first batch of a source, with the text of each token id row by row, and the data with and without texts."""
    config = DataConfig(
        root=str(root),
        sources=(source,),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(root / "cache"),
        max_length=16,
        length_buckets=(16,),
        window=1,
    )
    data = gather(config, seed=0)
    tokenizer = train_tokenizer(data, TokenizerConfig(vocab_size=80, min_frequency=1), 16)
    examples = stored(data, config, tokenizer)
    batch = batches_of(examples, config, size, seed=0).batch(0)
    texts = {
        side: tokenizer.batch_decode(tokens["input_ids"], skip_special_tokens=True)
        for side, tokens in batch.items()
        if isinstance(tokens, dict)
    }
    return batch, texts, data, examples


def test_a_batch_has_negatives_labels_and_scores(tmp_path):
    lines = [{"anchor": f"one {n}", "positive": f"two {n}", "n": f"ten {n}", "y": n, "s": n / 8} for n in range(6)]
    lines.append(lines[0] | {"y": 5})  # the same texts with another label are another example
    lines.append(lines[0] | {"n": "ten"})  # so they are with another negative
    lines += lines[2:4]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = JsonlSource(path="x.jsonl", negative_keys=("n",), label_key="y", score_key="s")
    batch, texts, data, _ = first_batch(source, tmp_path, 8)
    assert data.report["totals"]["dropped"] == {"duplicate": 2}
    assert set(batch) == {
        "anchor", "positive", "negative", "anchor_hash", "positive_hash", "negative_hash", "id", "weight",
        "label", "score",
    }  # fmt: skip
    assert (batch["label"].dtype, batch["score"].dtype) == (np.int32, np.float32)
    rows = list(zip(*texts.values(), batch["label"].tolist(), batch["score"].tolist(), strict=True))
    wanted = [tuple(line.values()) for line in lines[:8]]
    assert sorted(rows) == sorted(wanted)
    hashes = {
        text: tuple(pair) for side in texts for text, pair in zip(texts[side], batch[f"{side}_hash"], strict=True)
    }
    assert len(set(hashes.values())) == len(hashes)

    lines[3].pop("n")
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"line 4, no field 'n'"):
        gather(data_of(source, tmp_path), seed=0)


def data_of(source, root):
    return DataConfig(
        root=str(root), sources=(source,), holdout=HoldoutConfig(pairs_per_language=0), cache_dir=str(root)
    )


def test_sentences_are_tokenized_once(tmp_path):
    (tmp_path / "text.txt").write_text("".join(f"one two {n}\n" for n in range(8)))
    batch, texts, data, examples = first_batch(TextSource(path="text.txt"), tmp_path, 8)
    assert texts["anchor"] == texts["positive"]
    assert sorted(texts["anchor"]) == sorted(record.anchor for record in data.records())
    assert sorted(texts["anchor"]) == [f"one two {n}" for n in range(8)]
    for key in ("input_ids", "attention_mask"):
        np.testing.assert_array_equal(batch["anchor"][key], batch["positive"][key])
    np.testing.assert_array_equal(batch["anchor_hash"], batch["positive_hash"])
    assert examples.is_single(np.arange(8)).all()
    for example in examples.shards.examples(np.arange(8)):
        assert example.ids[0] is example.ids[1]


def test_examples_with_unequally_many_negatives_are_refused(tmp_path):
    """In one batch; a step may take them of one source."""
    (tmp_path / "one.jsonl").write_text('{"anchor": "a", "positive": "b", "n": "c"}\n')
    (tmp_path / "two.tsv").write_text("d\te\n")
    sources = (JsonlSource(path="one.jsonl", negative_keys=("n",)), TsvSource(path="two.tsv", positive_lang="en"))
    config = data_of(sources[0], tmp_path).model_copy(update={"sources": sources})
    data = gather(config, seed=0)
    examples = stored(data, config, train_tokenizer(data, TokenizerConfig(vocab_size=80, min_frequency=1), 16))
    with pytest.raises(
        UserError,
        match=r"sources\.0 \(anchor, positive, negative\) and of data\.sources\.1 \(anchor, positive\) do not fit",
    ):
        batches_of(examples, config, 1, seed=0)
    apart = batches_of(examples, config.model_copy(update={"batches": "one_source"}), 1, seed=0)
    assert {apart.sides(step) for step in range(8)} == {("anchor", "positive"), ("anchor", "positive", "negative")}


def test_lines_of_another_split_are_counted(tmp_path):
    lines = [("a", "train"), ("b", "test"), ("c", "TRAIN"), ("d", "dev")]
    text = "".join(json.dumps({"anchor": one, "positive": "x", "split": split}) + "\n" for one, split in lines)
    (tmp_path / "x.jsonl").write_text(text)
    items = read(JsonlSource(path="x.jsonl"), tmp_path)
    assert [getattr(item, "anchor", None) or item.reason for item in items] == ["a", "other_split", "c", "other_split"]
    assert (
        len([item for item in read(JsonlSource(path="x.jsonl", split=None), tmp_path) if isinstance(item, Record)]) == 4
    )
    assert [item.anchor for item in read(JsonlSource(path="x.jsonl", split="validation"), tmp_path)[3:]] == ["d"]
    with pytest.raises(UserError, match=r"x\.jsonl: no row is of the split none, there are train 2, test 1, dev 1"):
        read(JsonlSource(path="x.jsonl", split="none"), tmp_path)
    # A field that the source takes texts from is no split.
    assert len(read(JsonlSource(path="x.jsonl", positive_key="split"), tmp_path)) == 4
    assert all(isinstance(item, Record) for item in read(JsonlSource(path="x.jsonl", positive_key="split"), tmp_path))
