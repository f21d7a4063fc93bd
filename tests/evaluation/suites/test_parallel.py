import gzip

import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.evaluation.suites.parallel import parallel


def _encode(texts):
    return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)


def test_tsv_and_moses(tmp_path):
    (tmp_path / "en-xx.tsv.gz").write_bytes(gzip.compress(b"cat\ttac\ndog\tgod\n\tnothing\nbird\tdrib\n"))
    (tmp_path / "one").write_text("cat\ndog\n")
    (tmp_path / "two").write_text("god\nact\n")
    report = parallel(_encode, [tmp_path / "en-xx.tsv.gz", tmp_path / "one", tmp_path / "two"])
    assert [(pair.name, pair.forward, pair.backward, pair.n) for pair in report.pairs] == [
        ("en-xx", 100.0, 100.0, 3),
        ("one - two", 0.0, 0.0, 2),
    ]
    assert report.averages[0].mean == 50.0
    assert report.notes == ("en-xx: 1 of 4 pairs with an empty side left out",)


def test_columns(tmp_path):
    (tmp_path / "set.tsv").write_text("1\tcat\ttac\n2\tdog\tgod\n")
    report = parallel(_encode, [tmp_path], anchor_column=1, positive_column=2)
    assert report.pairs[0].mean == 100.0
    with pytest.raises(UserError, match="line 1"):
        parallel(_encode, [tmp_path], positive_column=3)


# ted2020.tsv.gz of sbert.net: a column for each language, read by get_parallel_data_ted2020.py of sentence-transformers
TED = "talkid\ten\tde\tbe\n" + "".join(f"{n}\t{w}\t{w[::-1]}\t\n" for n, w in enumerate(["cat", "dog", "bird"] * 7))
# WikiMatrix.de-en.tsv.gz: margin score, then the sentences: tasks/WikiMatrix/extract.py of LASER
WIKI = "1.25\tcat\ttac\n1.24\tdog\tgod\n1.1\tbird\tdrib\n"


def test_columns_by_name(tmp_path):
    (tmp_path / "ted2020.tsv.gz").write_bytes(gzip.compress(TED.encode()))
    report = parallel(_encode, [tmp_path / "ted2020.tsv.gz"], anchor_column="en", positive_column="de")
    assert (report.pairs[0].mean, report.pairs[0].n) == (100.0, 21)
    assert parallel(_encode, [tmp_path], anchor_column=1, positive_column=2, header=True) == report
    with pytest.raises(
        UserError, match=r"the header has no column 'fr' \(--positive-column\); it names 'talkid', 'en'"
    ):
        parallel(_encode, [tmp_path], anchor_column="en", positive_column="fr")
    with pytest.raises(
        UserError, match=r"21 of 22 pairs have an empty side; choose other columns with --anchor-column"
    ):
        parallel(_encode, [tmp_path], anchor_column=2, positive_column=3)
    with pytest.raises(UserError, match=r"every first text but that of the first line, which is a header, is a number"):
        parallel(_encode, [tmp_path])
    with pytest.raises(UserError, match=r"21 of 21 pairs have an empty side"):
        parallel(_encode, [tmp_path], anchor_column="en", positive_column="be")


def test_csv_with_a_header(tmp_path):
    """As pandas.DataFrame.to_csv writes it, with its index."""
    (tmp_path / "set.csv").write_text(',en,xx\n0,"cat, a","a, tac"\n1,dog,god\n')
    for settings in (
        {"anchor_column": "en", "positive_column": "xx"},
        {"header": True, "anchor_column": 1, "positive_column": 2},
    ):
        report = parallel(_encode, [tmp_path], **settings)
        assert [(pair.name, pair.mean, pair.n) for pair in report.pairs] == [("set", 100.0, 2)]
    with pytest.raises(UserError, match=r"holds no \.tsv"):
        parallel(_encode, [tmp_path])


def test_a_margin_score_is_no_text(tmp_path):
    (tmp_path / "WikiMatrix.de-en.tsv").write_text(WIKI)
    with pytest.raises(UserError, match=r"de-en\.tsv: every first text is a number, such as a margin score; choose"):
        parallel(_encode, [tmp_path])
    assert parallel(_encode, [tmp_path], anchor_column=1, positive_column=2).pairs[0].mean == 100.0


def test_nearly_empty_aligned_files(tmp_path):
    (tmp_path / "one").write_text("cat\n" + "\n" * 19)
    (tmp_path / "two").write_text("tac\n" + "\n" * 19)
    with pytest.raises(UserError, match=r"one: 19 of 20 pairs have an empty side; look at it and at .*two"):
        parallel(_encode, [tmp_path / "one", tmp_path / "two"])


def test_names_as_in_training(tmp_path):
    """`en-de.txt.gz`: STS2017 and XNLI of sbert.net's parallel sentences."""
    (tmp_path / "en-de.txt.gz").write_bytes(gzip.compress(b"cat\ttac\n\ndog\tgod\n"))
    for place in (tmp_path, tmp_path / "en-de.txt.gz"):
        report = parallel(_encode, [place])
        assert [(pair.name, pair.mean, pair.n) for pair in report.pairs] == [("en-de", 100.0, 2)]
        assert report.notes == ("en-de: 1 empty line skipped",)
    sides = [tmp_path / "en-de.txt", tmp_path / "en-fr.txt"]  # without tabs they are still two sides
    for side, words in zip(sides, ("cat\ndog\n", "tac\ngod\n"), strict=True):
        side.write_text(words)
    assert parallel(_encode, sides).pairs[0].name == "en-de.txt - en-fr.txt"


def test_rows_of_other_splits_are_left_out(tmp_path):
    """`split` as in AllNLI of sbert.net."""
    (tmp_path / "x.tsv").write_text("split\ten\txx\n\ntest\tcat\ttac\ntrain\tdog\tgod\ntest\tbird\tdrib\n")
    report = parallel(_encode, [tmp_path], anchor_column="en", positive_column="xx")
    assert report.pairs[0].n == 2
    assert report.notes == ("x: 1 empty line skipped", "x: the rows of other splits are left out (train 1)")
    report = parallel(_encode, [tmp_path], anchor_column="en", positive_column="xx", split="train")
    assert report.pairs[0].n == 1
    assert report.notes[1] == "x: the rows of other splits are left out (test 2)"
    (tmp_path / "x.tsv").write_text("split\ten\txx\ntrain\tcat\ttac\n")
    with pytest.raises(UserError, match=r"no row is of the split test, there are train 1; choose with --split"):
        parallel(_encode, [tmp_path], anchor_column="en", positive_column="xx")
