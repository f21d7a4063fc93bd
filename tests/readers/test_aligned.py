import gzip

import pytest

from jaxemb.errors import UserError
from jaxemb.readers.aligned import find_aligned, read_moses, read_tsv


def test_lines_are_split_at_newlines_only(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("\ufeffone\u2028still one\r\n\ntwo\x85still two".encode())
    packed = tmp_path / "text.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    wanted = ["one\u2028still one", "", "two\x85still two"]
    assert read_moses(path, packed) == (wanted, wanted)


def test_both_sides_must_have_as_many_lines(tmp_path):
    (tmp_path / "a").write_text("1\n2\n3\n")
    (tmp_path / "b").write_text("1\n2\n")
    with pytest.raises(UserError, match=r"a has 3 lines but .*b has 2"):
        read_moses(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").write_text("x\ny\nz")
    assert read_moses(tmp_path / "a", tmp_path / "b") == (["1", "2", "3"], ["x", "y", "z"])
    (tmp_path / "b").write_text("x\ny\nz\n\n  \n")  # empty lines at the end of one side
    assert read_moses(tmp_path / "a", tmp_path / "b") == (["1", "2", "3"], ["x", "y", "z"])


def test_tsv_columns_and_malformed_lines(tmp_path):
    path = tmp_path / "en-de.tsv"
    path.write_text("a\tb\tc\nd\te\tf\n")
    assert read_tsv(path) == (["a", "d"], ["b", "e"], 0)
    assert read_tsv(path, 2, 0) == (["c", "f"], ["a", "d"], 0)
    path.write_text("a\tb\nonly one\n")
    with pytest.raises(UserError, match=r"en-de\.tsv, line 2: 1 column\(s\).*'only one'"):
        read_tsv(path)
    path.write_text("a\tb\n\n  \n\tc\n")  # a cell may be empty, and is not skipped
    assert read_tsv(path) == (["a", ""], ["b", "c"], 2)
    path.write_text("\n\n")
    with pytest.raises(UserError, match=r"en-de\.tsv: all 2 lines are empty"):
        read_tsv(path)
    path.write_text("")
    with pytest.raises(UserError, match=r"en-de\.tsv: the file is empty"):
        read_tsv(path)


def test_what_paths_stand_for(tmp_path):
    names = [
        "en-de.tsv",
        "en-fr.tsv.gz",
        "News.de-en.de",
        "News.de-en.en",
        "t.pt_br-eng.pt_br.gz",
        "t.pt_br-eng.eng.gz",
    ]
    for name in [*names, "README.md", "notes.de-en.txt", "one", "two"]:
        (tmp_path / name).touch()
    assert find_aligned([tmp_path]) == [
        ("News.de-en", tmp_path / "News.de-en.de", tmp_path / "News.de-en.en"),
        ("en-de", tmp_path / "en-de.tsv", None),
        ("en-fr", tmp_path / "en-fr.tsv.gz", None),
        ("t.pt_br-eng", tmp_path / "t.pt_br-eng.pt_br.gz", tmp_path / "t.pt_br-eng.eng.gz"),
    ]
    one, two = tmp_path / "one", tmp_path / "two"
    assert find_aligned([one, tmp_path / "en-de.tsv", two]) == [
        ("en-de", tmp_path / "en-de.tsv", None),
        ("one - two", one, two),
    ]
    with pytest.raises(UserError, match=r"two: aligned text files come in pairs"):
        find_aligned([two])
    with pytest.raises(UserError, match=r"gone: there is no such file"):
        find_aligned([tmp_path / "gone"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no \.tsv"):
        find_aligned([tmp_path / "empty"])


def test_a_lonely_side_is_found_out(tmp_path):
    (tmp_path / "News.de-en.en").write_text("x\n")
    [(_, first, second)] = find_aligned([tmp_path])
    with pytest.raises(UserError, match=r"News\.de-en\.de: no such file"):
        read_moses(first, second)
