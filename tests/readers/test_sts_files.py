import gzip
from pathlib import Path

import pytest

from jaxemb.errors import UserError
from jaxemb.readers.sts import read_sts
from jaxemb.readers.sts_files import find_sts

SICK_HEADER = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"


def _found(paths, split="test"):
    return [(one.name, [file.name for file in one.files], one.subsets) for one in find_sts(paths, split)]


@pytest.fixture
def folder(tmp_path):
    """Something of everything, in folders as they are published."""
    for name in [
        "2012/MSRpar.test.tsv", "2012/OnWN.test.tsv.gz", "2012/OnWN.train.tsv", "2012/notes.txt",
        "2016/plagiarism.test.tsv",
        "2017/x.dev.tsv", "other/y.test.tsv", "en.train.csv", "en.dev.csv.gz", "en.test.csv", "en.test.csv.gz",
        "stsb-de-test.csv", "latest.csv", "SICK_train.txt", "SICK_trial.txt.gz", "SICK_test_annotated.txt", "README.md",
    ]:  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_what_a_folder_stands_for(folder):
    assert _found([folder]) == [
        ("STS12", ["MSRpar.test.tsv", "OnWN.test.tsv.gz"], ("MSRpar", "OnWN")),
        ("STS16", ["plagiarism.test.tsv"], ("plagiarism",)),
        ("en.test", ["en.test.csv"], ()),
        ("stsb-de-test", ["stsb-de-test.csv"], ()),
        ("SICK_test_annotated", ["SICK_test_annotated.txt"], ()),
    ]
    assert [name for name, _, _ in _found([folder], "dev")] == ["STS17", "en.dev", "SICK_trial"]
    assert [name for name, _, _ in _found([folder], "train")] == ["STS12", "en.train", "SICK_train"]


def test_a_year_by_itself_and_files_as_they_are(folder, monkeypatch):
    year, train = folder / "2016", folder / "en.train.csv"
    assert _found([train, year]) == [
        ("en.train", ["en.train.csv"], ()),
        ("STS16", ["plagiarism.test.tsv"], ("plagiarism",)),
    ]
    assert _found([folder / "2012" / "OnWN.test.tsv.gz"]) == [("OnWN.test", ["OnWN.test.tsv.gz"], ())]
    monkeypatch.chdir(year)
    assert [name for name, _, _ in _found([Path(".")])] == ["STS16"]


def test_a_set_named_twice_counts_once_and_equal_names_are_told_apart(folder):
    assert len(_found([folder, folder / "en.test.csv", folder / "2012", folder])) == 5
    (folder / "more" / "2012").mkdir(parents=True)
    for name in ("more/en.test.csv", "more/2012/MSRpar.test.tsv"):
        (folder / name).touch()
    names = [name for name, _, _ in _found([folder, folder / "more"])]
    assert len(set(names)) == 7
    for name in (f"STS12 ({folder}/2012)", f"STS12 ({folder}/more/2012)", f"en.test ({folder}/more/en.test.csv)"):
        assert name in names


def test_a_folder_without_the_split_is_told_which_it_has(folder):
    with pytest.raises(UserError, match=r"2017: holds nothing of the split test: .*there is --split dev, and a file"):
        find_sts([folder / "2017"], "test")
    with pytest.raises(UserError, match=r"other: holds nothing of the split dev: .*SICK_trial\.txt \(or \.gz\)$"):
        find_sts([folder / "other"], "dev")
    with pytest.raises(UserError, match=r"nowhere: there is no such file"):
        find_sts([folder / "nowhere"], "test")


def test_semeval_quotes_are_characters(tmp_path):
    path = tmp_path / "MSRpar.test.tsv"
    path.write_text('4.4\t"Yes," he said\tsaid "yes\r\n0\tA, b\t"\r\n')
    pairs = read_sts(path)
    assert (pairs.first, pairs.second, pairs.scores) == (('"Yes," he said', "A, b"), ('said "yes', '"'), (4.4, 0.0))


def test_stsb_quotes_are_csv(tmp_path):
    path = tmp_path / "en.test.csv.gz"
    path.write_bytes(gzip.compress(b'"Yes,"" he said",no\t\'",2.5\n"two\nlines",b,0.25\nc,d,5\n'))
    pairs = read_sts(path)
    assert pairs.first == ('Yes," he said', "two\nlines", "c")
    assert pairs.second == ("no\t'\"", "b", "d")
    assert pairs.scores == (2.5, 0.25, 5.0)


def test_sick_columns_go_by_their_names(tmp_path):
    path = tmp_path / "SICK_test_annotated.txt"
    path.write_text(SICK_HEADER + '7\tA "man\tA woman\t3.6\tNEUTRAL\n9\tb\tc\t5\tENTAILMENT\n')
    pairs = read_sts(path)
    assert (pairs.first, pairs.second, pairs.scores) == (('A "man', "b"), ("A woman", "c"), (3.6, 5.0))
    path.write_text("relatedness_score\tsentence_B\tsentence_A\n1\tx\ty\n2\tz\tw\n")
    assert read_sts(path).first == ("y", "w")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "1\tx\ty\n2\tx\n", r"a\.tsv, line 2: 2 column\(s\), not 3 \(score, sentence 1"),
        ("a.tsv", "1\tx\ty\n2\tx\ty\tz\n", r"line 2: 4 column"),
        ("a.tsv", "1\tx\ty\n-\n2\tx\ty\n", r"line 2: 1 column"),
        ("a.tsv", "score\tx\ty\n2\tx\ty\n", r"line 1: the score 'score' is not a finite number; only SICK"),
        ("a.tsv", "1\tx\ty\nnan\tx\ty\n", r"line 2: the score 'nan'"),
        ("a.tsv", "1\tx\ty\n-inf\tx\ty\n", r"line 2: the score '-inf'"),
        ("a.tsv", "1\tx\ty\n\tx\ty\n", r"holds 1 pair\(s\) with a gold score, and 1 without; a correlation"),
        ("a.tsv", "1\tx\ty\n1_0\tx\ty\n", r"line 2: the score '1_0'"),
        ("a.tsv", "1\tx\ty\n2\tx\t \n", r"line 2: sentence 2 is empty"),
        ("a.tsv", "1\t\ty\n2\tx\tz\n", r"line 1: sentence 1 is empty"),
        ("a.tsv", "1\tx\ty\n", r"a\.tsv: holds 1 pair\(s\); a correlation needs 2"),
        ("a.tsv", "3\tx\ty\n3.0\tx\tz\n", r"a\.tsv, lines 1 to 2: every score is 3, but a correlation needs"),
        ("a.tsv", "", r"a\.tsv: the file is empty"),
        ("a.csv", 'x,y,1\n"x,y,2\nx,y,3\n', r"a\.csv, line 2: is not valid CSV \(unexpected end of data\)"),
        ("a.csv", 'x,y,1\n"x" y,z,2\n', r"a\.csv, line 2: is not valid CSV"),
        ("a.csv", '"x\nx",y,1\nx,y,2\nx,y\n', r"a\.csv, line 4: 2 column\(s\), not 3 \(sentence 1"),
        ("a.csv", '"x\nx",y,1\nx,y,?\n', r"a\.csv, line 3: the score '\?'"),
        ("a.csv", "x,y,1\n,y,2\n", r"a\.csv, line 2: sentence 1 is empty"),
        ("a.csv", "x,y,1\nx,y,\xe9\0\n", r"a\.csv, line 2: a NUL byte"),
        ("a.txt", "sentence_A\tsentence_B\tscore\n", r"a\.txt, line 1: the header has no relatedness_score"),
        ("a.txt", SICK_HEADER, r"a\.txt: holds 0 pair"),
        ("a.txt", SICK_HEADER + "1\tx\ty\t3\tN\n2\tx\ty\t4\n", r"a\.txt, line 3: 4 column\(s\), not 5 \(as in"),
        ("a.txt", SICK_HEADER + "1\tx\ty\t3\tN\n2\tx\ty\tN\t3\n", r"a\.txt, line 3: the score 'N'"),
        (
            "a.txt", SICK_HEADER + "1\tx\ty\t3\tN\n2\tx\tz\t3\tN\n",
            r"a\.txt, lines 2 to 3: every score is 3, but a correlation needs different scores",
        ),
        ("a.json", "{}", r"a\.json: must end in \.tsv"),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_where(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        read_sts(tmp_path / name)
