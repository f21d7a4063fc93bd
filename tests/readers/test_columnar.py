import io

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from jaxemb.errors import UserError
from jaxemb.readers.columnar import Groups, column_names, read_columns, row_groups
from jaxemb.readers.lines import BadLine
from jaxemb.readers.tables import TAB, Row, read_rows

TABLE = pa.table({
    "en": [f"sentence {n}" for n in range(3000)],
    "more": [[{"text": "a", "title": None}, {"text": "b", "title": "t"}]] * 3000,
    "n": pa.array([None, 1.5] * 1500),
})  # fmt: skip


def write(path, kind, table=TABLE):
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=700, write_page_checksum=True)
    elif kind == "feather":
        pyarrow.feather.write_feather(table, path, compression="zstd", chunksize=700)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=700)
    return path


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])
def test_rows_and_row_groups(tmp_path, kind):
    path = write(tmp_path / "x", kind)
    rows = list(read_columns(path))
    assert [number for number, _ in rows] == list(range(1, 3001))
    assert [fields for _, fields in rows] == TABLE.to_pylist()
    assert next(read_columns(path, ["n", "none"])) == (1, {"n": None})
    assert column_names(path) == ["en", "n"]
    pieces = row_groups(path, 1000)
    assert pieces == [Groups(0, 2, 0), Groups(2, 2, 1400), Groups(4, 1, 2800)]
    assert [row for piece in pieces for row in read_columns(path, None, piece)] == rows


def test_a_table_of_texts(tmp_path):
    path = write(tmp_path / "x.parquet", "parquet")
    names, first, second, *_ = read_rows(path, TAB)
    assert (names.cells, names.line) == (["en", "n"], 0)
    assert first == Row(1, ["sentence 0", ""], "sentence 0\t")
    assert second.cells == ["sentence 1", "1.5"]


def test_texts_that_are_none(tmp_path):
    raw = pa.array([b"good", b"sch\xf6n", b"x" * (2 << 20), b"last"])
    texts = pa.StringArray.from_buffers(4, *raw.buffers()[1:])
    first, bad, long, last = read_columns(write(tmp_path / "x", "parquet", pa.table({"en": texts})))
    assert (first, last) == ((1, {"en": "good"}), (4, {"en": "last"}))
    assert bad == BadLine(2, "not UTF-8 at byte 4", r"sch\xf6n")
    assert (long.line, long.reason, len(long.content)) == (3, "en is longer than 1 MiB", 400)


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])
def test_damaged_files_are_named(tmp_path, kind):
    whole = write(tmp_path / "whole", kind).read_bytes()
    for name, data, message in (
        ("cut", whole[: len(whole) // 2], r"is truncated or corrupt \(.+\); fetch it again"),
        ("head", whole[:9], r"is truncated or corrupt"),
        ("zeros", whole[:2000] + bytes(400) + whole[2400:], r"is truncated or corrupt"),
        ("empty", b"", "the file is empty"),
        ("text", b"a\tb\n", "is neither a Parquet nor an Arrow file"),
    ):
        if (kind, name) == ("stream", "zeros"):  # has no checksums: the texts would be other ones
            continue
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: .*{message}"):
            list(read_columns(tmp_path / name))
    with pytest.raises(UserError, match="no such file"):
        list(read_columns(tmp_path / "missing"))


def test_damage_that_only_a_check_finds(tmp_path):
    path = tmp_path / "x"
    pq.write_table(TABLE, path, compression="none", use_dictionary=False, write_page_checksum=True)
    path.write_bytes(path.read_bytes().replace(b"sentence 1234", b"sentence 9999"))
    with pytest.raises(UserError, match=r"x: the file is truncated or corrupt .*CRC"):
        list(read_columns(path))
    stream = write(path, "stream", pa.table({"a": ["xx", "yy"]})).read_bytes()
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 2, 4))
    assert offsets in stream
    path.write_bytes(stream.replace(offsets, offsets[:4] + b"\0\0\0\x7f" + offsets[8:]))  # pyarrow would read there
    with pytest.raises(UserError, match="x: the file is truncated or corrupt"):
        list(read_columns(path))


def test_a_file_without_rows(tmp_path):
    with pytest.raises(UserError, match="x: the file has no rows"):
        list(read_columns(write(tmp_path / "x", "parquet", TABLE.slice(0, 0))))


def test_only_the_wanted_bytes_are_read(tmp_path):
    """Random access, which makes reading a part of a remote file cheap."""
    path = tmp_path / "x"
    noise = pa.table({"a": [f"{n}" * 50 for n in range(20_000)], "b": [f"{n}" * 200 for n in range(20_000)]})
    pq.write_table(noise, path, row_group_size=5000, compression="none", use_dictionary=False)

    class Counting(io.FileIO):
        count = 0

        def readinto(self, buffer):
            Counting.count += len(buffer)
            return super().readinto(buffer)

    class File(type(path)):
        def open(self, mode="rb"):
            return io.BufferedReader(Counting(str(self)), 1 << 12)

    assert len(list(read_columns(File(path), ["a"], Groups(1, 1, 5000)))) == 5000
    assert Counting.count < path.stat().st_size / 6
