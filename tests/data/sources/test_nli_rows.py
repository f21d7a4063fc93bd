"""Files of natural language inference, in miniature. Each fixture says where its layout was seen."""

import gzip
import json
from collections import Counter

import pytest

from jaxemb.config import DataConfig, HoldoutConfig, NliSource, StsSource
from jaxemb.data import gather
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import source_parts
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine


def read(source, root):
    return [item for part in source_parts(source, str(root)) for item in part.read()]


def summary(items):
    return [
        (item.anchor, item.positive, item.label) if isinstance(item, Record) else getattr(item, "reason", None)
        for item in items
    ]


FORMATS = {
    # XNLI-MT: "premise hypo label" and `contradictory`, in BERT's run_classifier.py and fastNLP's CNXNLILoader
    "multinli.train.de.tsv": (
        'premise\thypo\tlabel\nEr "singt .\tEr schweigt .\tcontradictory\nA\tB\tentailment\nA\n',
        [('Er "singt .', "Er schweigt .", 0), ("A", "B", 1), "1 columns where the header has 3"],
    ),
    # MultiNLI's .txt: header as of SNLI's in several loaders; lines of the training file have one annotator
    "multinli_1.0_train.txt": (
        "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\t"
        "sentence2\tpromptID\tpairID\tgenre\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\n"
        "neutral\t( A )\t( B )\t(ROOT A)\t(ROOT B)\tA\tB\t31193\t31193n\tgovernment\tneutral\n"
        "-\t( A )\t( C )\t(ROOT A)\t(ROOT C)\tA\tC\t1\t1n\ttelephone\tneutral\tneutral\tentailment\tentailment\tx\n"
        "entailment\t( A )\t( C )\t(ROOT A)\t(ROOT C)\tA\tC\t1\t1n\n",
        [("A", "B", 2), "no_agreement", "9 columns where the header has 15"],
    ),
    # JSNLI: label, premise, hypothesis, no header, in the card of huggingface.co/datasets/shunk031/jsnli
    "train_w_filtering.tsv": (
        "entailment\t自転車 で 競い ます 。\t人々 は 自転車 に 乗って います 。\nneutral\tA\tB\n\nA\tB\n",
        [
            ("自転車 で 競い ます 。", "人々 は 自転車 に 乗って います 。", 1),
            ("A", "B", 2),
            "empty_line",
            "2 columns where the header has 3",
        ],
    ),
    # GLUE's MNLI/train.tsv: fastNLP's MNLILoader
    "train.tsv": (
        "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n0\t1\t1n\tx\tA\tB\tneutral\tneutral\n",
        [("A", "B", 2)],
    ),
    # pandas.DataFrame.to_csv of premise, hypothesis, label
    "pandas.csv": (
        ',premise,hypothesis,label\n0,"A, ""a""\nb",B,Entailment\n\n1,C,D,neutral\n',
        [('A, "a"\nb', "B", 1), "empty_line", ("C", "D", 2)],
    ),
    # ANLI and FEVER-NLI: src/dataset_tools/format_convert.py of github.com/facebookresearch/anli
    "train_fitems.jsonl": (
        "".join(
            json.dumps({"fid": "1", "cid": "2", "context": "A", "query": label, "label": label}) + "\n"
            for label in ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO", "hidden")
        ),
        [("A", "SUPPORTS", 1), ("A", "REFUTES", 0), ("A", "NOT ENOUGH INFO", 2), "no_agreement"],
    ),
    "anli.jsonl": (
        '{"uid": "1", "context": "A", "hypothesis": "B", "label": "c"}\n'
        '{"context": "A", "hypothesis": "C", "label": "e"}\n',
        [("A", "B", 0), ("A", "C", 1)],
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_columns_go_by_header(tmp_path, name):
    content, wanted = FORMATS[name]
    for file, data in ((name, content.encode()), (f"{name}.gz", gzip.compress(content.encode()))):
        (tmp_path / file).write_bytes(data)
        assert summary(read(NliSource(path=file), tmp_path)) == wanted


# AllNLI.tsv.gz of sbert.net: csv.DictReader with `split`, `dataset`, `sentence1`, `sentence2` and `label`, in the
# examples of sentence-transformers and EasyNMT; a program that reads it notes all six columns in this order
ALL_NLI = "split\tdataset\tfilename\tsentence1\tsentence2\tlabel\n" + "".join(
    f"{split}\tSNLI\tsnli_1.0_{split}.txt\tA {split} {n}\tB {n}\tneutral\n"
    for split, count in (("train", 4), ("dev", 1), ("test", 2))
    for n in range(count)
)
# SICK.txt: `SemEval_set` in its readme
SICK = (
    "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set\n"
    "1\ta\tb\tNEUTRAL\t4.5\tTRAIN\n2\tc\td\tNEUTRAL\t1\tTRIAL\n3\te\tf\tENTAILMENT\t2\tTEST\n"
)


def test_rows_of_other_splits_are_not_trained_on(tmp_path):
    (tmp_path / "AllNLI.tsv.gz").write_bytes(gzip.compress(ALL_NLI.encode()))
    (tmp_path / "SICK.txt").write_text(SICK)
    found = read(NliSource(path="AllNLI.tsv.gz"), tmp_path)
    assert [item.anchor for item in found if isinstance(item, Record)] == [f"A train {n}" for n in range(4)]
    assert found[4:] == [Skipped("en", "other_split")] * 3
    for split, anchors in (("dev", ["A dev 0"]), ("validation", ["A dev 0"]), (None, 7)):
        found = read(NliSource(path="AllNLI.tsv.gz", split=split), tmp_path)
        kept = [item.anchor for item in found if isinstance(item, Record)]
        assert kept == anchors or len(kept) == anchors
    for source in (NliSource(path="SICK.txt"), StsSource(path="SICK.txt")):
        assert [getattr(item, "anchor", None) for item in read(source, tmp_path)] == ["a", None, None]
    (tmp_path / "nli.jsonl").write_text(
        "".join(
            json.dumps({"sentence1": split, "sentence2": "b", "gold_label": "neutral", "split": split}) + "\n"
            for split in ("train", "test", "train")
        )
    )
    found = read(NliSource(path="nli.jsonl"), tmp_path)
    assert [getattr(item, "anchor", None) for item in found] == ["train", None, "train"]
    with pytest.raises(UserError, match=r"no row is of the split dev, there are train 2, test 1; choose with split of"):
        read(NliSource(path="nli.jsonl", split="dev"), tmp_path)


def report_of(source, root):
    config = DataConfig(
        root=str(root), sources=(source,), holdout=HoldoutConfig(pairs_per_language=0), cache_dir=str(root / "cache")
    )
    return gather(config, seed=0).report


def test_the_report_counts_the_other_splits(tmp_path):
    (tmp_path / "AllNLI.tsv.gz").write_bytes(gzip.compress(ALL_NLI.encode()))
    totals = report_of(NliSource(path="AllNLI.tsv.gz"), tmp_path)["totals"]
    assert (totals["read"], totals["train"], totals["dropped"]) == (7, 4, {"other_split": 3})


# XNLI's xnli.dev.tsv: "language gold_label sentence1_binary_parse ...", in loaders of XNLI-1.0
XNLI = "language\tgold_label\tsentence1\tsentence2\tpromptID\n" + "".join(
    f"{language}\tneutral\tA {language} {n}\tB\t{n}\n" for language in ("ar", "de", "en", "zh") for n in range(2)
)


def test_a_column_of_languages_selects_or_names_the_language(tmp_path):
    (tmp_path / "xnli.dev.tsv").write_text(XNLI)
    found = read(NliSource(path="xnli.dev.tsv"), tmp_path)
    assert [item.anchor for item in found if isinstance(item, Record)] == ["A en 0", "A en 1"]
    assert Counter(item.language for item in found if isinstance(item, Skipped)) == {"ar": 2, "de": 2, "zh": 2}
    found = read(NliSource(path="xnli.dev.tsv", language="de"), tmp_path)
    assert {item.anchor_lang for item in found if isinstance(item, Record)} == {"de"}
    found = read(NliSource(path="xnli.dev.tsv", language=None), tmp_path)
    assert [item.anchor_lang for item in found] == ["ar", "ar", "de", "de", "en", "en", "zh", "zh"]
    assert all(item.anchor_lang == item.positive_lang == item.anchor[2:4] for item in found)
    languages = report_of(NliSource(path="xnli.dev.tsv"), tmp_path)["languages"]
    assert languages["en"]["train"] == 2
    assert languages["ar"]["dropped"] == {"other_language": 2}
    with pytest.raises(UserError, match=r"no row is of the language fr, there are ar 2, de 2, en 2, zh 2; choose with"):
        read(NliSource(path="xnli.dev.tsv", language="fr"), tmp_path)
    (tmp_path / "SICK.txt").write_text(SICK)
    with pytest.raises(UserError, match=r"SICK\.txt: has no column of languages; set language of this source"):
        read(NliSource(path="SICK.txt", language=None), tmp_path)


def test_premises_of_two_languages_make_no_triplet(tmp_path):
    rows = [("en", "entailment"), ("de", "contradiction"), ("en", "contradiction")]
    (tmp_path / "x.tsv").write_text(
        "language\tlabel\tpremise\thypothesis\n" + "".join(f"{a}\t{b}\tA\t{a} {b}\n" for a, b in rows)
    )
    triplet, missing = read(NliSource(path="x.tsv", triplets=True, language=None), tmp_path)
    assert (triplet.positive, triplet.negatives) == ("en entailment", ("en contradiction",))
    assert missing == Skipped("de", "no_triplet")


def test_labels_that_are_numbers(tmp_path):
    """Hugging Face's snli and multi_nli: 0 entailment, 1 neutral, 2 contradiction, -1 none.

    docs/community_catalog/huggingface/snli.md and multi_nli.md of github.com/tensorflow/datasets name the labels in
    this order.
    """
    names = ("entailment", "neutral", "contradiction")
    lines = [{"premise": "A", "hypothesis": f"B {n}", "label": n} for n in (0, 1, 2, -1)]
    (tmp_path / "hf.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "hf.csv").write_text("premise,hypothesis,label\n" + "".join(f"A,B {n},{n}\n" for n in (0, 1, 2, -1)))
    (tmp_path / "hf.tsv").write_text("premise\thypothesis\tlabel\nA\tB 0\t0.0\nA\tB 1\t1.0\nA\tB 2\t2.0\nA\tB -1\t\n")
    for name in ("hf.jsonl", "hf.csv", "hf.tsv"):
        with pytest.raises(UserError, match=rf"{name}, line \d: the label .*0.* is a number.*label_names.*label_key"):
            read(NliSource(path=name), tmp_path)
        found = read(NliSource(path=name, label_names=names), tmp_path)
        assert [getattr(item, "label", None) for item in found] == [1, 2, 0, None]
    found = read(NliSource(path="hf.csv", label_names=names[:2]), tmp_path)
    assert isinstance(found[2], BadLine)
    assert found[2].reason == "the label 2 is beyond label_names, which names 2"


# SemEval 2015 and 2016 have mostly lines that begin with a tab: github.com/brmson/dataset-sts
def test_scores_in_training(tmp_path):
    (tmp_path / "images.train.tsv").write_text("\tA dog runs\tA cat runs\n5\tA\tB\n5.0\tC\tD\n")
    skipped, one, other = read(StsSource(path="*.train.tsv"), tmp_path)
    assert skipped == Skipped("en", "no_score")
    assert (one.score, other.score, other.id) == (1.0, 1.0, "images.train.tsv:3")
    (tmp_path / "images.train.tsv").write_text("5\tA\tB\nfive\tC\tD\n")
    with pytest.raises(UserError, match=r"line 2: the score 'five' is not a finite number"):
        read(StsSource(path="*.train.tsv"), tmp_path)


def test_senteval_pairs_of_files_in_training(tmp_path):
    """STS12-en-test of SentEval: senteval/sts.py, loadFile."""
    (tmp_path / "STS.input.OnWN.txt").write_text("a\tb\nc\td\n")
    (tmp_path / "STS.gs.OnWN.txt").write_text("5\n\n")
    [part] = source_parts(StsSource(path="STS.*.txt"), str(tmp_path))
    assert [path.name for path in part.paths] == ["STS.input.OnWN.txt", "STS.gs.OnWN.txt"]
    record, skipped = part.read()
    assert (record.anchor, record.score, skipped.reason) == ("a", 1.0, "no_score")
