import functools
import logging

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxemb.encoding import encode, encode_file
from jaxemb.encoding.texts import embed_blocks
from jaxemb.errors import UserError
from support.embedding_files import read_embeddings
from support.text_files import LINES, TEXTS, write
from support.tiny_models import tiny_embedder

EMBEDDER = tiny_embedder()


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.tsv", "a\tb\nc\n", 1, r"a\.tsv, line 2: no column 1; the line has 1"),
        ("a.tsv", "a\tb\n", "text", r"line 1: the header has no column 'text' \(--column\); it names 'a', 'b'"),
        ("a.tsv", "a\tb\n", -1, r"column -1 must be a number"),
        ("a.txt", "a\n", 1, r"line 1: no column 1; the line has 1"),
        ("a.jsonl", '{"text": "a"}\n\n', None, r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"text": "a"}\n{"t": 1, "u": 2}\n', None, r"line 2: no key 'text'; its keys are t, u"),
        ("a.jsonl", "[1]\n", None, r"line 1: no key 'text'; it is not an object"),
        ("a.jsonl", '{"text": 1}\n', None, r"line 1: 'text' is not a string but int"),
        (
            "a.jsonl",
            '{"text": "a \\ud83d"}\n',
            None,
            r"line 1: 'text' is not valid Unicode: it holds '\\ud83d', half of a character",
        ),
        ("a.txt", b"good\nb\xe4d\n", None, r"a\.txt, line 2: not UTF-8 at byte 2"),
        ("a.csv", "a,b\n", None, r"a\.csv: choose a column of the \.csv, by its number"),
        ("a.parquet.gz", "a", None, r"\.parquet cannot be read"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tmp_path, name, content, column, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message):
        encode_file(EMBEDDER, path, tmp_path / "out.npy", column=column)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_missing_input(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        encode_file(EMBEDDER, tmp_path / "a.txt", tmp_path / "b.npy")
    with pytest.raises(UserError, match="is not a file"):
        encode_file(EMBEDDER, tmp_path, tmp_path / "b.npy")


def test_output_is_checked_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match=r"unknown output format '\.csv'; supported: \.npy, \.parquet"):
        encode_file(EMBEDDER, tmp_path / "missing.txt", tmp_path / "b.csv")
    with pytest.raises(UserError, match="is a directory"):
        encode_file(EMBEDDER, tmp_path / "missing.txt", tmp_path)


@pytest.mark.parametrize("output", ["out.npy", "out.parquet"])
def test_output_equals_encode(tmp_path, output, monkeypatch):
    small = functools.partial(embed_blocks, block_size=4)
    monkeypatch.setattr("jaxemb.encoding.files.embed_blocks", small)
    path = write(tmp_path / "a.txt", LINES)
    assert encode_file(EMBEDDER, path, tmp_path / "new" / output, batch_size=8) == len(TEXTS)
    out = read_embeddings(tmp_path / "new" / output)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, encode(EMBEDDER, TEXTS, batch_size=8), atol=1e-6)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [output]


@pytest.mark.parametrize("output", ["out.npy", "out.parquet"])
def test_empty_file_gives_no_rows_and_a_warning(tmp_path, output, caplog):
    path = write(tmp_path / "a.txt", "")
    with caplog.at_level(logging.WARNING):
        assert encode_file(EMBEDDER, path, tmp_path / output) == 0
    assert "a.txt is empty" in caplog.text
    if output == "out.npy":
        assert np.load(tmp_path / output).shape == (0, 32)
    else:
        assert pq.read_table(tmp_path / output).num_rows == 0


def test_progress_counts_lines(tmp_path, capsys):
    path = write(tmp_path / "a.txt", LINES)
    encode_file(EMBEDDER, path, tmp_path / "out.npy", batch_size=8, show_progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "6/6" in captured.err
