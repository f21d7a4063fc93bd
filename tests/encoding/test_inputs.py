"""Texts out of files."""

import gzip
import json

import pytest

from jaxemb.encoding.inputs import text_reader
from jaxemb.errors import UserError
from support.text_files import LINES, TEXTS, write

TSV = "".join(f"{number}\t{text}\n" for number, text in enumerate(TEXTS))

JSONL = "".join(json.dumps({"id": number, "text": text, "other": "x"}) + "\n" for number, text in enumerate(TEXTS))

INPUTS = [
    ("a.txt", LINES, None),
    ("a.txt.gz", LINES, None),
    ("train.de", LINES.removesuffix("\n"), None),  # no suffix of ours, no last line end
    ("a.txt", "\ufeff" + LINES.replace("\n", "\r\n"), None),
    ("a.tsv", TSV, "1"),
    ("a.tsv.gz", TSV, 1),
    ("a.jsonl", JSONL, None),
    ("a.jsonl.gz", JSONL, "text"),
]


@pytest.mark.parametrize(("name", "content", "column"), INPUTS)
def test_kinds_of_input(tmp_path, name, content, column):
    path = write(tmp_path / name, content)
    assert list(text_reader(path, column)()) == TEXTS


# Where each layout was seen stands in the tests of the readers of the same format.
TABLES = [
    ("xnli.dev.tsv", "language\tgold_label\tsentence1\nen\tneutral\tone\nde\tneutral\ttwo\n", "sentence1"),
    (
        "stsbenchmark.tsv.gz",
        "split\tscore\tsentence1\tsentence2\ntrain\t5.00\tone\ta\ntest\t1.0\ttwo\tb\n",
        "sentence1",
    ),
    ("SICK.txt", "pair_ID\tsentence_A\n1\tone\n2\ttwo\n", "sentence_A"),
    ("pandas.csv", ',text,n\n0,one,1\n1,two,"2\n3"\n', "text"),
    ("sts-dev.csv", "g\tf\t2012\t1\t2.5\tone, a\tx\ng\tf\t2012\t2\t2.5\ttwo\tx\n", "5"),
    ("stsb-de-dev.csv", '"one, a",x,2.5\ntwo,"x",1.0\n', 0),
    ("triples.txt", "one\ta\tb\ntwo\ta\tb\n", "0"),
    ("flag.jsonl", '{"query": "one", "pos": ["a"]}\n{"query": "two", "pos": []}\n', "query"),
]


@pytest.mark.parametrize(("name", "content", "column"), TABLES)
def test_columns_by_header_name_number_or_key(tmp_path, name, content, column):
    texts = list(text_reader(write(tmp_path / name, content), column)())
    assert [text.removesuffix(", a") for text in texts] == ["one", "two"]


def test_a_header_is_no_text(tmp_path):
    path = write(tmp_path / "a.csv", "text,n\none,1\n\ntwo,2\n")
    assert list(text_reader(path, 0, header=True)()) == ["one", "", "two"]  # text N stays that of row N
    assert list(text_reader(path, 0)()) == ["text", "one", "", "two"]


def test_truncated_gzip_is_named(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"text\n" * 10_000)[:-20])
    with pytest.raises(UserError, match=r"a\.txt\.gz: the gzip file is truncated"):
        list(text_reader(path)())
