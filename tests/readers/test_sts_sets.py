import numpy as np
import pytest

from jaxemb.evaluation.suites.sts import sts
from jaxemb.readers.sts_sets import read_sts_sets


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "2015").mkdir()
    for name in ("images", "news"):
        (tmp_path / "2015" / f"{name}.test.tsv").write_text(f"1\ta {name}\tb\n2\tc\td\n")
    for language in ("en", "de"):
        (tmp_path / f"{language}.test.csv").write_text(f"a {language},b {language},1\nc,d,2\n")
    return tmp_path


def test_sets_of_one_language(folder):
    year, german, english = read_sts_sets([folder], "test")
    assert [one.name for one in (year, german, english)] == ["STS15", "de.test", "en.test"]
    assert (year.subsets, english.subsets) == (("images", "news"), ())
    assert [pairs.first for pairs in year.pairs] == [("a images", "c"), ("a news", "c")]
    assert [pairs.first for pairs in english.pairs] == [("a en", "c")]


def test_cross_lingual_sets(folder):
    [one] = read_sts_sets([folder], "test", [("en", "de")])
    assert (one.name, one.subsets) == ("en-de", ())
    assert [(pairs.first, pairs.second) for pairs in one.pairs] == [(("a en", "c"), ("b de", "d"))]


def test_what_nobody_can_mean(folder):
    with pytest.raises(ValueError, match="split is 'trial': it must be one of train, dev, test"):
        read_sts_sets([folder], "trial")
    with pytest.raises(ValueError, match="language_pairs is empty: name a pair, or leave it out"):
        read_sts_sets([folder], "test", [])


def test_a_language_is_one_set_under_all_its_names(tmp_path):
    """A column `language` as in XNLI's xnli.dev.tsv (github.com/facebookresearch/XNLI)."""
    rows = [
        "EN\ta\tb\t1",
        "eng\tc\td\t2",
        "de\te\tf\t3",
        "en\tg\th\t4",
        "deu_Latn\ti\tj\t5",
        "tlh?\tk\tl\t1",
        "tlh?\tm\tn\t2",
    ]
    path = tmp_path / "sts.tsv"
    path.write_text("\n".join(["language\tsentence1\tsentence2\tscore", *rows]))
    sets = {one.name: len(one.pairs[0].scores) for one in read_sts_sets([path], "test")}
    assert sets == {"sts (en)": 3, "sts (de)": 2, "sts (tlh?)": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("images.test.tsv", "1\ta\tb\n\n2\tc\td\n  \n"),
        ("sts.tsv", "split\tlanguage\tsentence1\tsentence2\tscore\n\ntest\ten\ta\tb\t1\n  \ntest\ten\tc\td\t2\n"),
        ("STS.input.x.txt", "a\tb\n\nc\td\n\n"),
        ("x.csv", "a,b,1\n\nc,d,2\n\n"),
    ],
)
def test_empty_lines_are_skipped_and_said(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / "STS.gs.x.txt").write_text("1\n\n2\n\n")
    ((pairs,),) = [one.pairs for one in read_sts_sets([tmp_path / name], "test")]
    assert (pairs.scores, pairs.rows, pairs.unscored, pairs.empty_lines) == ((1, 2), (1, 2), 0, 2)
    report = sts(lambda texts: np.diag(np.arange(1, 5.0))[: len(texts)] + 1, [tmp_path / name])
    assert [note.partition(": ")[2] for note in report.notes] == ["2 empty lines skipped"]
