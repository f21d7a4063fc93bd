import gzip

import pytest

from jaxemb.errors import UserError
from jaxemb.readers import lines as text_files
from jaxemb.readers.lines import BadLine, read_good_lines, read_lines


def test_plain_and_gzip_read_alike(tmp_path):
    content = "\ufeffä\r\n\nlast without an end".encode()
    (tmp_path / "plain.gz").write_bytes(content)  # the name does not decide
    (tmp_path / "zipped.txt").write_bytes(gzip.compress(content))
    for name in ("plain.gz", "zipped.txt"):
        assert list(read_lines(tmp_path / name)) == ["ä", "", "last without an end"]


def test_bad_lines_are_marked_and_the_rest_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"good\n\xff\xfe bad\nnul\0byte\ngood again\n")
    lines = list(read_lines(tmp_path / "a"))
    assert lines[0] == "good"
    assert lines[1] == BadLine(2, "not UTF-8 at byte 1", r"\xff\xfe bad" + "\n")
    assert isinstance(lines[2], BadLine)
    assert lines[2].line == 3
    assert "NUL" in lines[2].reason
    assert lines[3] == "good again"
    with pytest.raises(UserError, match=r"a, line 2: not UTF-8 at byte 1; correct or convert"):
        list(read_good_lines(tmp_path / "a"))


def test_an_endless_line_is_one_bad_line(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_LINE_BYTES", 1000)
    longest = "x" * 999
    (tmp_path / "a").write_text("before\n" + "x" * 5000 + "\n" + longest + "\nafter\n")
    before, bad, fits, after = read_lines(tmp_path / "a")
    assert (before, fits, after) == ("before", longest, "after")
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert len(bad.content) < 500


def test_unreadable_files_are_refused_by_name(tmp_path):
    whole = gzip.compress(b"line\n" * 1000)
    for name, content, message in (
        ("empty", b"", "the file is empty"),
        ("truncated.gz", whole[: len(whole) // 2], "truncated or corrupt"),
        ("corrupt.gz", whole[:20] + bytes(20) + whole[40:], "truncated or corrupt"),
        ("short.gz", whole[:5], "truncated or corrupt"),
        ("utf16", "a\tb\n".encode("utf-16"), "UTF-16"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: .*{message}"):
            list(read_lines(tmp_path / name))
    assert list(read_good_lines(tmp_path / "empty", may_be_empty=True)) == []
    with pytest.raises(UserError, match="missing: no such file"):
        list(read_lines(tmp_path / "missing"))
    with pytest.raises(UserError, match="cannot be read"):
        list(read_lines(tmp_path))
