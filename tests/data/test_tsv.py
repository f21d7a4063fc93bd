import gzip
import os

import pytest

from jaxemb.config import DataConfig, HoldoutConfig, TsvSource
from jaxemb.data import prepare
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import source_parts
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine


def read(path, root, **settings):
    return [item for part in source_parts(TsvSource(path=path, **settings), str(root)) for item in part.read()]


def test_a_pattern_reads_all_files_and_takes_the_language_from_their_names(tmp_path):
    (tmp_path / "bitext").mkdir()
    (tmp_path / "bitext/en-pt-br.tsv.gz").write_bytes(gzip.compress(b"yes\tsim\tweb\n"))
    (tmp_path / "bitext/en-de.tsv").write_bytes("\ufeffyes\tja\tweb\r\nno\tnein\tweb".encode())
    assert read("bitext/en-*.tsv*", tmp_path) == [
        Record("yes", "ja", anchor_lang="en", positive_lang="de", source="bitext/en-*.tsv*", id="en-de.tsv:1"),
        Record("no", "nein", anchor_lang="en", positive_lang="de", source="bitext/en-*.tsv*", id="en-de.tsv:2"),
        Record(
            "yes", "sim", anchor_lang="en", positive_lang="pt-BR", source="bitext/en-*.tsv*", id="en-pt-br.tsv.gz:1"
        ),
    ]


def test_columns_and_languages_can_be_set(tmp_path):
    (tmp_path / "corpus.txt").write_text("1\tHallo\tx\tsalut\n")
    (record,) = read("corpus.txt", tmp_path, anchor_column=3, positive_column=1, anchor_lang="fr", positive_lang="de")
    assert (record.anchor, record.anchor_lang) == ("salut", "fr")
    assert (record.positive, record.positive_lang) == ("Hallo", "de")


def test_absolute_path_and_brackets_in_a_name(tmp_path):
    (tmp_path / "a[1]").mkdir()
    file = tmp_path / "a[1]" / "en-[de].tsv"
    file.write_text("a\tb\n")
    assert len(read(str(file), "/nowhere", positive_lang="de")) == 1
    assert len(read("en-*.tsv", tmp_path / "a[1]", positive_lang="de")) == 1


def test_malformed_lines(tmp_path):
    (tmp_path / "en-de.tsv").write_bytes(b"no tab\na\tb\tc\n\xff\tx\ty\na\tb\nx\ty\tz\td\ne\tf\tg\n")
    items = read("en-de.tsv", tmp_path)
    assert [item.line for item in items if isinstance(item, BadLine)] == [1, 3, 4, 5]
    assert [item.id for item in items if isinstance(item, Record)] == ["en-de.tsv:2", "en-de.tsv:6"]
    assert items[0].reason == "1 columns where at least 2 are needed"
    assert items[0].content == "no tab"
    assert items[3].reason == "2 columns where the lines before have 3"


def test_empty_lines_are_skipped_and_counted(tmp_path):
    (tmp_path / "en-de.tsv").write_bytes(b"\na\tb\n\r\n  \nc\td\n\t\n\n")
    items = read("en-de.tsv", tmp_path)
    assert [item.id for item in items if isinstance(item, Record)] == ["en-de.tsv:2", "en-de.tsv:5", "en-de.tsv:6"]
    assert [item for item in items if not isinstance(item, Record)] == [Skipped("de", "empty_line")] * 4
    config = DataConfig(
        root=str(tmp_path),
        sources=(TsvSource(path="en-de.tsv"),),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(tmp_path / "cache"),
    )
    totals = prepare(config, 0).report["totals"]
    assert (totals["read"], totals["train"], totals["bad_lines"]) == (7, 2, 0)
    assert totals["dropped"] == {"empty": 1, "empty_line": 4}


def test_a_name_that_is_not_utf_8(tmp_path):
    (tmp_path / os.fsdecode(b"sch\xf6n.tsv")).write_text("a\tb\n")
    with pytest.raises(UserError, match=r"sch\\udcf6n\.tsv': the name is not UTF-8; rename the file"):
        read("*.tsv", tmp_path, positive_lang="de")


def test_errors(tmp_path):
    with pytest.raises(UserError, match=r"en-xx\.tsv: no such file .*data\.root"):
        read("en-xx.tsv", tmp_path)
    with pytest.raises(UserError, match=r"en-\*\.tsv: no such file"):
        read("en-*.tsv", tmp_path)
    (tmp_path / "corpus.tsv").write_text("a\tb\n")
    with pytest.raises(UserError, match=r"corpus\.tsv: the name does not give the language, as .* set positive_lang"):
        read("corpus.tsv", tmp_path)


def test_real_files(real_data):
    for item in read("bitext/en-be-latn.tsv.gz", real_data):
        assert isinstance(item, Record)
        assert item.positive_lang == "be-Latn"
