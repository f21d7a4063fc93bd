"""Texts out of files."""

import gzip
import json

import pytest

from jaxemb.encoding.inputs import count_lines, text_reader
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
    assert count_lines(path) == len(TEXTS)


def test_truncated_gzip_is_named(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"text\n" * 10_000)[:-20])
    with pytest.raises(UserError, match=r"a\.txt\.gz: the gzip file is truncated"):
        list(text_reader(path)())
