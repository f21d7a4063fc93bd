import gzip

import pytest

from jaxemb.config import TmxSource
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import source_parts
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine

# As DGT-TM of the EU writes them: a unit has many languages, with regions.
UNIT = """<tu>
<tuv lang="EN-GB"><seg>Article 1</seg></tuv><tuv lang="DE-DE"><seg>Artikel 1</seg></tuv>
<tuv lang="FR-FR"><seg>Article premier</seg></tuv><tuv lang="DE-AT"><seg>Artikel eins</seg></tuv></tu>
<tu><tuv lang="DE-DE"><seg>nur deutsch</seg></tuv></tu><tu><tuv><seg>none</seg></tuv></tu>
"""


@pytest.fixture
def folder(tmp_path):
    content = f'<?xml version="1.0" encoding="UTF-16"?><tmx version="1.4"><body>{UNIT}</body></tmx>'
    (tmp_path / "x.tmx.gz").write_bytes(gzip.compress(content.encode("utf-16")))
    return tmp_path


def read(folder, **settings):
    source = TmxSource(path="*.tmx.gz", **settings)
    return [item for part in source_parts(source, str(folder)) for item in part.read()]


def described(items):
    return [(item.anchor, item.positive, item.positive_lang, item.id) for item in items if isinstance(item, Record)]


def test_a_language(folder):
    items = read(folder, positive_lang="de")
    assert described(items) == [
        ("Article 1", "Artikel 1", "de", "x.tmx.gz:1"), ("Article 1", "Artikel eins", "de", "x.tmx.gz:1/2"),
    ]  # fmt: skip
    assert items[0].anchor_lang == "en"
    assert items[2] == Skipped("de", "other_language")
    assert isinstance(items[3], BadLine)
    other_way = read(folder, anchor_lang="de", positive_lang="en")
    assert described(other_way) == [("Artikel 1", "Article 1", "en", "x.tmx.gz:1")]
    assert described(read(folder, positive_lang="de-AT")) == [("Article 1", "Artikel eins", "de-AT", "x.tmx.gz:1")]


def test_all_languages(folder):
    items = read(folder)
    assert [(one[1], one[2]) for one in described(items)] == [
        ("Artikel 1", "de-DE"), ("Article premier", "fr-FR"), ("Artikel eins", "de-AT"),
    ]  # fmt: skip
    assert items[3] == Skipped("und", "other_language")
    assert described(read(folder, anchor_lang="de", positive_lang="de")) == [
        ("Artikel 1", "Artikel eins", "de", "x.tmx.gz:1")
    ]


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"\*\.tmx\.gz: no such file \(path of a source of kind tmx"):
        read(tmp_path)
