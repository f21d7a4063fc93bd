import pytest

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
