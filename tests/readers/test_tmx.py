import codecs
import contextlib
import gzip
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine
from jaxemb.readers.tmx import Unit, read_units

HEAD = '<tmx version="1.4"><header srclang="en"/><body>'
END = "</body></tmx>"


def tmx(path, body, declaration='<?xml version="1.0" encoding="UTF-8"?>\n', encoding="utf-8"):
    path.write_bytes((declaration + HEAD + body + END).encode(encoding))
    return path


def unit(*texts):
    return "<tu>" + "".join(f'<tuv xml:lang="{lang}"><seg>{text}</seg></tuv>' for lang, text in texts) + "</tu>\n"


def test_units(tmp_path):
    body = (
        '\n<tu tuid="1">\n<prop type="x">y</prop><note>no text</note>\n'
        + unit(("en", "A &amp; B"), ("de", "A&#228;"))[4:]
    )
    body += '<tu><tuv lang="EN-US"><prop>p</prop><seg>old</seg></tuv><tuv lang="FR"><seg/></tuv></tu>'
    body += unit(("en", "one"), ("en", "two"), ("de", "<![CDATA[<b>]]>"))
    assert list(read_units(tmx(tmp_path / "x", body))) == [
        Unit(3, (("en", "A & B"), ("de", "Aä"))),
        Unit(6, (("EN-US", "old"), ("FR", ""))),
        Unit(6, (("en", "one"), ("en", "two"), ("de", "<b>"))),
    ]


def test_inline_tags(tmp_path):
    """TMX 1.4b: codes are no text, nor is the text of a footnote in them; highlighted text is."""
    text = (
        'Press <bpt i="1">&lt;b&gt;</bpt><hi>the <ph>{1}</ph>red</hi><ept i="1">&lt;/b&gt;</ept> button<ut>x</ut>'
        '<ph>\\footnote{<sub>see <hi>there</hi></sub>}</ph><it pos="begin">&lt;i&gt;</it>.'
    )
    (one,) = read_units(tmx(tmp_path / "x", unit(("en", text))))
    assert one.texts == (("en", "Press the red button."),)


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", ""), ("utf-8", None), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("utf-16", None),
        ("utf-16-le", "UTF-16"), ("utf-16-be", "utf-16"), ("iso-8859-1", "ISO-8859-1"),
        ("windows-1252", "windows-1252"), ("gb18030", "GB18030"),
    ],
)  # fmt: skip
def test_encodings(tmp_path, encoding, declared):
    declaration = "" if declared is None else f"<?xml version='1.0' encoding='{declared}'?>"
    declaration = '<?xml version="1.0"?>' if declared == "" else declaration
    path = tmx(tmp_path / "x", unit(("de", "schön")) * 1500, declaration, encoding)
    units = list(read_units(path))
    assert len(units) == 1500
    assert {one.texts for one in units} == {(("de", "schön"),)}


LAUGHS = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>\n'


@pytest.mark.parametrize(
    ("declaration", "body", "message"),
    [
        (LAUGHS, unit(("en", "&b;")), r"line 1: declares the entity 'a', which may expand to gigabytes"),
        ('<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "", "line 1: declares the entity 'a'"),
        ('<!DOCTYPE tmx [<!ENTITY % a SYSTEM "http://x/y"> %a;]>', "", "line 1: declares the entity 'a'"),
        ("", unit(("en", "&undeclared;")), "line 1: is not well-formed XML, or is truncated .undefined entity"),
        ("", "<tu><tuv>", "line 1: is not well-formed XML, or is truncated .mismatched tag"),
        ("", unit(("en", "a\0b")), "line 1: is not well-formed XML"),
        ("<?xml version='1.0' encoding='klingon'?>", "", "declares the encoding klingon, which is not known"),
        ("<?xml version='1.0' encoding='zlib'?>", "", "declares the encoding zlib, which is not known"),
        ("<html>", "", "line 1: is XML, but not TMX: it begins with <html>"),
        ("", "<!--" + "x" * (5 << 20), "line 1: a tag or comment of more than 4 MiB"),
    ],
    ids=range(10),
)
def test_what_is_refused(tmp_path, declaration, body, message):
    with pytest.raises(UserError, match=f"x[,:] {message}"):
        list(read_units(tmx(tmp_path / "x", body, declaration)))


def test_damaged_files(tmp_path):
    path = tmx(tmp_path / "x", unit(("de", "schön")) * 50)
    whole = path.read_bytes()
    for data, message in (
        (whole[:-9], "line 52: is not well-formed XML, or is truncated .unclosed token"),
        (whole.replace("ö".encode(), b"\xf6"), "after line 1: is not in the encoding that it declares"),
        (gzip.compress(whole)[:-9], "the gzip file is truncated or corrupt"),
        (b"", "the file is empty"),
        (b"a\tb\n", "line 1: is not well-formed XML"),
        (codecs.BOM_UTF16_LE + whole, "is not in the encoding|is not well-formed"),
    ):
        path.write_bytes(data)
        with pytest.raises(UserError, match=f"x[,:] {message}"):
            list(read_units(path))


def test_units_that_are_bad(tmp_path):
    body = unit(("en", "a"), ("de", "b"))
    body += "<tu><tuv><seg>which language?</seg></tuv></tu>\n" + unit(("en", "x" * (2 << 20)), ("de", "b"))
    first, without, long = read_units(tmx(tmp_path / "x", body))
    assert first.texts == (("en", "a"), ("de", "b"))
    assert without == BadLine(3, "line 3: a <tuv> without xml:lang", "")
    assert (long.line, long.reason, long.content) == (4, "a text longer than 1 MiB", "b")


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "x.gz"
    part = unit(("en", "a dog " * 20), ("de", "ein Hund " * 20)).encode()
    path.write_bytes(
        gzip.compress(HEAD.encode() + part * 5000 + unit(("en", "y" * (12 << 20))).encode() + END.encode(), 1)
    )
    tracemalloc.start()
    units = read_units(path)
    assert sum(1 for _ in units) == 5001
    assert tracemalloc.get_traced_memory()[1] < 6 << 20
    tracemalloc.stop()


WHOLE = ('<?xml version="1.0"?>\n' + HEAD + unit(("en", "a <ph>b</ph>"), ("de", "ä")) * 3 + END).encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=4), st.integers(0, 8)), max_size=3))
def test_any_damage_is_a_plain_error_or_none(tmp_path_factory, damage):
    data = WHOLE
    for place, inserted, removed in damage:
        data = data[:place] + inserted + data[place + removed :]
    path = tmp_path_factory.getbasetemp() / "fuzzed.tmx"
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        assert all(isinstance(one, Unit | BadLine) for one in read_units(path))
