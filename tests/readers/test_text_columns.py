"""Which files have a column of texts, and which one."""

import pytest

from jaxemb.errors import UserError
from jaxemb.readers.text_columns import text_column


@pytest.mark.parametrize(
    ("name", "content", "column", "header", "expected"),
    [
        ("a.txt", "a\tb\n", None, False, None),
        ("a.csv", "a,b\n", None, False, None),
        ("a.jsonl", "{}\n", "b", False, None),
        ("a.tsv", "a\tb\n", None, False, (0, "\t", None)),
        ("a.TSV", "a\tb\n", 1, False, (1, "\t", None)),
        ("a.txt", "a\tb\n", 1, False, (1, "\t", None)),
        ("a.txt", "a\tb\n", None, True, (0, "\t", ["a", "b"])),
        ("a.txt", "a\tb\n", "b", False, (1, "\t", ["a", "b"])),
        ("a.csv", "a,b\n", 0, False, (0, ",", None)),
        ("a.csv", "a,b\n", 0, True, (0, ",", ["a", "b"])),
        ("a.csv", "a, b\tc\n", 0, False, (0, "\t", None)),
        ("a.csv", "a, b\tc\n", 0, True, (0, "\t", ["a, b", "c"])),
        ("a.tsv", "a, b\n", 0, True, (0, "\t", ["a, b"])),
        ("a.tsv", "a,b\n", "b", False, (1, ",", ["a", "b"])),
    ],
)
def test_where_the_texts_are(tmp_path, name, content, column, header, expected):
    path = tmp_path / name
    path.write_text(content)
    assert text_column(path, column, header=header, key="--column") == expected


def test_a_header_without_the_column(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\n")
    with pytest.raises(UserError, match=r"a\.tsv, line 1: the header has no column 'c' \(--column\)"):
        text_column(path, "c", key="--column")
