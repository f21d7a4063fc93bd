import gzip
import os

import pytest

from jaxemb.config import DataConfig, HoldoutConfig, TsvSource
from jaxemb.data import gather
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
    totals = gather(config, 0).report["totals"]
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


# ted2020.tsv.gz of sbert.net: a column for each language, read with csv.DictReader by get_parallel_data_ted2020.py of
# sentence-transformers
TED = "talkid\ten\tde\tbe\n" + "".join(f"{n}\tyes {n}\tja {n}\t{'tak' if n == 3 else ''}\n" for n in range(20))
# WikiMatrix.de-en.tsv.gz: margin score, then the sentences: tasks/WikiMatrix/extract.py of LASER
WIKI = "".join(f"1.{200 - n}\tSatz {n}\tsentence {n}\n" for n in range(10))


def test_columns_by_name(tmp_path):
    (tmp_path / "ted2020.tsv.gz").write_bytes(gzip.compress(TED.encode()))
    items = read("ted2020.tsv.gz", tmp_path, anchor_column="en", positive_column="de", positive_lang="de")
    assert len(items) == 20
    assert items[0] == Record(
        "yes 0", "ja 0", anchor_lang="en", positive_lang="de", source="ted2020.tsv.gz", id="ted2020.tsv.gz:2"
    )
    numbered = read("ted2020.tsv.gz", tmp_path, anchor_column=1, positive_column=2, header=True, positive_lang="de")
    assert numbered == items
    rare = read("ted2020.tsv.gz", tmp_path, anchor_column="en", positive_column="be", positive_lang="be")
    assert [item.anchor for item in rare if item.positive] == ["yes 3"]
    with pytest.raises(
        UserError, match=r"line 1: the header has no column 'fr' \(positive_column\); it names 'talkid'"
    ):
        read("ted2020.tsv.gz", tmp_path, anchor_column="en", positive_column="fr", positive_lang="fr")
    with pytest.raises(UserError, match=r"line 1: positive_column is 4, but the header has 4 columns, from 0"):
        read("ted2020.tsv.gz", tmp_path, positive_column=4, header=True, positive_lang="fr")


def test_tatoeba_s_sentence_pairs(tmp_path):
    """tatoeba.org/en/downloads, custom export "Sentence pairs": id, sentence, id, translation, between tabs, as the
    readmes of several programs that read it say; the file begins with a byte-order mark."""
    (tmp_path / "pairs.tsv").write_text("\ufeff1276\tLet's try.\t77\tVersuchen wir es.\n1277\tGo!\t78\tGeh!\n")
    columns = {"anchor_column": 1, "positive_column": 3, "positive_lang": "de"}
    pairs = [(item.anchor, item.positive) for item in read("pairs.tsv", tmp_path, **columns)]
    assert pairs == [("Let's try.", "Versuchen wir es."), ("Go!", "Geh!")]
    with pytest.raises(UserError, match=r"every first text is a number"):
        read("pairs.tsv", tmp_path, positive_lang="de")


def test_csv_with_a_header(tmp_path):
    """As pandas.DataFrame.to_csv writes it, with its index."""
    (tmp_path / "en-de.csv").write_text(',en,de\n0,"yes, ""yes""",ja\n1,no,nein\n')
    by_name = read("en-de.csv", tmp_path, anchor_column="en", positive_column="de", positive_lang="de")
    assert [(item.anchor, item.positive, item.id) for item in by_name] == [
        ('yes, "yes"', "ja", "en-de.csv:2"), ("no", "nein", "en-de.csv:3"),
    ]  # fmt: skip
    assert read("en-de.csv", tmp_path, anchor_column=1, positive_column=2, header=True, positive_lang="de") == by_name


def test_columns_that_cannot_be_texts(tmp_path):
    (tmp_path / "ted2020.tsv").write_text(TED)
    (tmp_path / "WikiMatrix.de-en.tsv").write_text(WIKI)
    with pytest.raises(UserError, match=r"ted2020\.tsv: 19 of 21 pairs have an empty side; choose other .*4 columns"):
        read("ted2020.tsv", tmp_path, anchor_column=1, positive_column=3, positive_lang="be")
    with pytest.raises(UserError, match=r"every first text is a number, such as a margin score; choose other columns"):
        read("WikiMatrix.de-en.tsv", tmp_path, positive_lang="de")
    items = read("WikiMatrix.de-en.tsv", tmp_path, anchor_column=2, positive_column=1, positive_lang="de")
    assert (items[0].anchor, items[0].positive) == ("sentence 0", "Satz 0")


def test_rows_of_other_splits_and_languages(tmp_path):
    """`split` and `language` as in AllNLI of sbert.net and XNLI."""
    rows = ["split\ten\tde\tlanguage", "", "train\ta\tb\tde", "test\tc\td\tde", "train\te\tf\tfr"]
    (tmp_path / "x.tsv").write_text("\n".join(rows) + "\n")
    columns = {"anchor_column": "en", "positive_column": "de"}
    empty, taken, test, french = read("x.tsv", tmp_path, positive_lang="de", **columns)
    assert (empty, taken.positive) == (Skipped("de", "empty_line"), "b")
    assert (test, french) == (Skipped("de", "other_split"), Skipped("fr", "other_language"))
    items = read("x.tsv", tmp_path, split=None, **columns)
    assert [item.positive_lang for item in items[1:]] == ["de", "de", "fr"]
    with pytest.raises(UserError, match=r"no row is of the split dev, there are train 2, test 1; choose with split"):
        read("x.tsv", tmp_path, split="dev", **columns)


def test_empty_lines_of_a_table_with_a_header_are_counted(tmp_path):
    (tmp_path / "en-de.tsv").write_text("a\tb\n\nc\td\n\n")
    assert [getattr(item, "reason", None) for item in read("en-de.tsv", tmp_path)] == [
        None,
        "empty_line",
        None,
        "empty_line",
    ]
