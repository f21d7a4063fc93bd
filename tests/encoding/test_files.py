import functools
import gzip
import json
import logging

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxemb.encoding import encode, encode_file
from jaxemb.encoding.inputs import count_lines, text_reader
from jaxemb.encoding.outputs import write_npy, write_parquet
from jaxemb.encoding.texts import embed_blocks
from jaxemb.errors import UserError
from support.tiny_models import tiny_embedder

EMBEDDER = tiny_embedder()
TEXTS = ["one", "", "Съешь же", " three\tfour "[:6], "敏捷的", "last"]


def write(path, content):
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


LINES = "\n".join(TEXTS) + "\n"
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


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.tsv", "a\tb\nc\n", 1, r"a\.tsv, line 2: no column 1; the line has 1"),
        ("a.tsv", "a\tb\n", "text", r"column 'text' must be a number"),
        ("a.tsv", "a\tb\n", -1, r"column -1 must be a number"),
        ("a.txt", "a\n", 1, r"in \.tsv and \.jsonl files only"),
        ("a.jsonl", '{"text": "a"}\n\n', None, r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"text": "a"}\n{"t": 1, "u": 2}\n', None, r"line 2: no key 'text'; its keys are t, u"),
        ("a.jsonl", "[1]\n", None, r"line 1: no key 'text'; it is no object"),
        ("a.jsonl", '{"text": 1}\n', None, r"line 1: 'text' is no string but int"),
        ("a.jsonl", '{"text": "a \\ud83d"}\n', None, r"line 1: 'text' is no valid Unicode: '\\ud83d' in it is half"),
        ("a.txt", b"good\nb\xe4d\n", None, r"a\.txt, line 2: not UTF-8 at byte 2"),
        ("a.csv", "a,b\n", None, r"\.csv cannot be read; convert it"),
        ("a.parquet.gz", "a", None, r"\.parquet cannot be read"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tmp_path, name, content, column, message):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=message):
        encode_file(EMBEDDER, path, tmp_path / "out.npy", column=column)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_truncated_gzip_is_named(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"text\n" * 10_000)[:-20])
    with pytest.raises(UserError, match=r"a\.txt\.gz: the gzip file is truncated"):
        list(text_reader(path)())


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


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    table = pq.read_table(path)
    assert table.column_names == ["embedding"]
    assert table.schema.field("embedding").type.list_size == 32
    return np.stack(table["embedding"].to_numpy())


@pytest.mark.parametrize("output", ["out.npy", "out.parquet"])
def test_output_equals_encode(tmp_path, output, monkeypatch):
    small = functools.partial(embed_blocks, block_size=4)
    monkeypatch.setattr("jaxemb.encoding.files.embed_blocks", small)
    path = write(tmp_path / "a.txt", LINES)
    assert encode_file(EMBEDDER, path, tmp_path / "new" / output, batch_size=8) == len(TEXTS)
    out = read(tmp_path / "new" / output)
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


@pytest.mark.parametrize(("write_blocks", "name"), [(write_npy, "a.npy"), (write_parquet, "a.parquet")])
def test_writers_take_one_block_at_a_time(tmp_path, write_blocks, name):
    expected = np.random.default_rng(0).normal(size=(10_007, 32)).astype(np.float32)
    alive = []

    def blocks():
        for start in range(0, len(expected), 1000):
            alive.append(start)
            yield expected[start : start + 1000]

    assert write_blocks(tmp_path / name, blocks(), 32) == 10_007
    assert len(alive) == 11
    np.testing.assert_array_equal(read(tmp_path / name), expected)


def test_npy_can_be_mapped(tmp_path):
    write_npy(tmp_path / "a.npy", iter([np.ones((3, 4), np.float32)]), 4)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert mapped.shape == (3, 4)
    assert mapped.flags.c_contiguous
