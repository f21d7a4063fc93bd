import gzip
import zipfile

import pytest

from jaxemb.config import MosesSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import source_parts
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine


def read(root, anchors: bytes, positives: bytes):
    (root / "a.en").write_bytes(anchors)
    (root / "a.de.gz").write_bytes(gzip.compress(positives))
    source = MosesSource(anchor_path="a.en", positive_path="a.de.gz", positive_lang="de")
    (part,) = source_parts(source, str(root))
    return list(part.read())


def test_lines_are_paired(tmp_path):
    source = "a.en + a.de.gz"
    assert read(tmp_path, b"yes\r\nno\n", b"ja\nnein") == [
        Record("yes", "ja", anchor_lang="en", positive_lang="de", source=source, id="a.en:1"),
        Record("no", "nein", anchor_lang="en", positive_lang="de", source=source, id="a.en:2"),
    ]


def test_a_bad_line_names_its_file_and_keeps_the_rest_aligned(tmp_path):
    first, second, third = read(tmp_path, b"one\ntwo\nthree\n", b"eins\n\xff\ndrei\n")
    assert isinstance(second, BadLine)
    assert second.line == 2
    assert "a.de.gz" in second.reason
    assert (first.positive, third.anchor, third.positive) == ("eins", "three", "drei")


@pytest.mark.parametrize(("anchors", "positives"), [(b"1\n2\n3\n", b"1\n"), (b"1\n", b"1\n2\n3\n")])
def test_different_numbers_of_lines(tmp_path, anchors, positives):
    counts = [len(anchors) // 2, len(positives) // 2]
    with pytest.raises(UserError, match=rf"a\.en has {counts[0]} lines, .*a\.de\.gz has {counts[1]}"):
        read(tmp_path, anchors, positives)


@pytest.mark.parametrize(("anchors", "positives"), [(b"1\n2\n\n \n", b"1\n2\n"), (b"1\n2", b"1\n2\n\n\r\n")])
def test_trailing_empty_lines_of_one_side_are_skipped_and_counted(tmp_path, anchors, positives):
    first, second, *rest = read(tmp_path, anchors, positives)
    assert (first.anchor, second.positive) == ("1", "2")
    assert rest == [Skipped("de", "trailing_empty_line")] * 2


@pytest.mark.parametrize("positives", [b"1\n2\n\n3\n", b"1\n2\n\n\xff\n", b"1\n2\n3\n\n"])
def test_a_text_after_the_end_of_the_other_side_is_an_error(tmp_path, positives):
    with pytest.raises(UserError, match=r"a\.en has 2 lines, .*a\.de\.gz has 4"):
        read(tmp_path, b"1\n2\n", positives)


def test_a_missing_file_names_the_key(tmp_path):
    (tmp_path / "a.en").write_text("x\n")
    with pytest.raises(UserError, match=r"a\.de: no such file \(positive_path"):
        source_parts(MosesSource(anchor_path="a.en", positive_path="a.de", positive_lang="de"), str(tmp_path))


def test_both_files_in_an_archive_of_opus(tmp_path):
    """OPUS packs `NAME.de-en.de` and `NAME.de-en.en` with a README and a LICENSE."""
    with zipfile.ZipFile(tmp_path / "de-en.txt.zip", "w") as archive:
        for name, text in (("README", "x"), ("Tatoeba.de-en.de", "ja\n"), ("Tatoeba.de-en.en", "yes\n")):
            archive.writestr(name, text)
    paths = [f"zip://Tatoeba.de-en.{side}::de-en.txt.zip" for side in ("en", "de")]
    source = MosesSource(anchor_path=paths[0], positive_path=paths[1], positive_lang="de")
    (part,) = source_parts(source, str(tmp_path))
    (record,) = part.read()
    assert (record.anchor, record.positive, record.id) == ("yes", "ja", "Tatoeba.de-en.en:1")
    several = source.model_copy(update={"anchor_path": "zip://Tatoeba.*::de-en.txt.zip"})
    with pytest.raises(UserError, match=r"2 files match anchor_path of a source of kind moses; name one"):
        source_parts(several, str(tmp_path))
