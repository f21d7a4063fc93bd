import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.conftest import compiled_catalogue
from jaxemb.errors import UserError
from jaxemb.readers.gettext import Message, parse_mo, parse_po
from jaxemb.readers.lines import BadLine

MESSAGES = {
    "Save": "Speichern",
    "menu\x04Open": "Öffnen",
    "%d file\0%d files": "%d Datei\0%d Dateien",
}


@pytest.mark.parametrize("order", ["<", ">"])
def test_compiled_catalogue(order):
    assert [(m.english, m.translation, m.forms) for m in parse_mo(compiled_catalogue(MESSAGES, order), "x.mo")] == [
        ("%d file", "%d Datei", 2),
        ("Save", "Speichern", 1),
        ("Open", "Öffnen", 1),
    ]


def test_charset_of_the_header_counts():
    data = compiled_catalogue({"Open": "xffnen"}).replace(b"charset=UTF-8", b"charset=cp852").replace(b"xff", b"\x99ff")
    assert next(parse_mo(data, "x.mo")).translation == "Öffnen"


def test_a_message_that_cannot_be_decoded_is_a_bad_line():
    data = compiled_catalogue({"Open": "xffnen", "Save": "Speichern"}).replace(b"xffnen", b"\xffffnen")
    bad, good = parse_mo(data, "x.mo")
    assert isinstance(bad, BadLine)
    assert "utf-8" in bad.reason
    assert good.translation == "Speichern"


@pytest.mark.parametrize("content", [b"", b"not a catalogue, but long enough", compiled_catalogue(MESSAGES)[:40]])
def test_what_is_no_catalogue_is_refused_by_name(content):
    with pytest.raises(UserError, match=r"broken\.mo: .*reinstall"):
        list(parse_mo(content, "broken.mo"))


def test_messages_beyond_the_end_are_bad_lines():
    whole = compiled_catalogue(MESSAGES)
    good, *bad = parse_mo(whole[: -len(b"Speichern\0xxxxxxx\0")], "x.mo")
    assert good.translation == "%d Datei"
    assert [(item.line, item.reason) for item in bad] == [
        (3, "a message beyond the end of the file"),
        (4, "a message beyond the end of the file"),
    ]


PO = r"""
# A translator's comment
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"

#: file.c:12
msgctxt "menu"
msgid "Open \"it\"\n"
"now"
msgstr "Öffne \"es\"\n"
"jetzt"
#, fuzzy, c-format
msgid "Close"
msgstr "Offen"

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

#. Default: "Add a \"user\""
#. and a comment
msgid "label_add_user"
msgstr "Benutzer zufügen"

msgid "Untranslated"
msgstr ""

this is not gettext
#~ msgid "Old"
#~ msgstr "Alt"
"""


def test_source_catalogue():
    items = list(parse_po(PO.encode()))
    bad = [item for item in items if isinstance(item, BadLine)]
    assert [(item.line, item.content) for item in bad] == [(30, "this is not gettext")]
    assert [item for item in items if isinstance(item, Message)] == [
        Message(8, 'Open "it"\nnow', 'Öffne "es"\njetzt'),
        Message(14, "Close", "Offen", fuzzy=True),
        Message(17, "%d file", "%d Datei", forms=2),
        Message(24, "label_add_user", "Benutzer zufügen", default='Add a "user"'),
        Message(27, "Untranslated", ""),
    ]


def test_source_catalogue_that_is_not_in_its_charset():
    bad, good = parse_po(b'msgid "a"\n\xff\nmsgstr "b"\n')
    assert isinstance(bad, BadLine)
    assert bad.line == 2
    assert (good.english, good.translation) == ("a", "b")


WHOLE = compiled_catalogue(MESSAGES)
DAMAGE = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=5), st.integers(0, 9)), max_size=4)


def damaged(data, damage):
    for place, inserted, removed in damage:
        data = data[:place] + inserted + data[place + removed :]
    return data


@settings(max_examples=300, deadline=None)
@given(DAMAGE)
def test_any_damage_to_a_catalogue_is_a_bad_line_or_a_plain_error(damage):
    with contextlib.suppress(UserError):
        assert all(isinstance(item, Message | BadLine) for item in parse_mo(damaged(WHOLE, damage), "x.mo"))
    assert all(isinstance(item, Message | BadLine) for item in parse_po(damaged(PO.encode(), damage)))
