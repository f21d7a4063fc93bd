import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.data.pairs.normalize import _PLACEHOLDER, decontamination_key, normalize_text, text_hash, text_keys
from support.real_texts import real_texts
from support.tiers import sampled


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    once = normalize_text(text)
    assert normalize_text(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert "\t" not in once
    assert "\n" not in once
    assert "\0" not in once
    assert once == once.strip()
    assert "  " not in once


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("  a \r\n b  ", "a b"),
        ("a\u00a0b\u3000c\u2028d", "a b c d"),
        ("Cafe\u0301", "Café"),
        ("a\x07b \x00 c", "ab c"),
        ("\ufeffa", "a"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # the joiner is part of the word
        ("", ""),
    ],
)
def test_normalize_text(text, normalised):
    assert normalize_text(text) == normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Delete %(count)d files?", "delete 12 Files!"),
        ("Hello, {name}", "hello ${user}"),
        ("<b>Bold</b> text", "bold text"),
        ("50% of %s", "of"),
        ("Fish &amp; chips", "fish, chips"),
        ("STRASSE", "straße"),
        ("%1$s of %2$s", "of"),
    ],
)
def test_same_key(one, other):
    assert decontamination_key(one) == decontamination_key(other) != ""


def test_other_key():
    assert decontamination_key("open the file") != decontamination_key("open the files")
    assert decontamination_key("किताब") != decontamination_key("कतब")  # vowel signs count
    assert decontamination_key("%(a)s {b} 12 – !") == ""


def test_hash_is_stable():
    # As in `hashlib.blake2b("ä".encode(), digest_size=8)`: batches must not change with the process.
    assert text_hash("ä") == int.from_bytes(bytes.fromhex("f04dbbe25e2ba039"), "little")


def normalized_by_definition(text: str) -> str:
    kept = "".join(c for c in text if c.isspace() or (unicodedata.category(c) != "Cc" and c != "\ufeff"))
    return " ".join(unicodedata.normalize("NFC", kept).split())


def key_by_definition(text: str) -> str:
    folded = _PLACEHOLDER.sub(" ", text).casefold()
    return " ".join("".join(c if unicodedata.category(c)[0] in "LM" else " " for c in folded).split())


def assert_by_definition(text: str) -> None:
    normalized = normalize_text(text)
    assert normalized == normalized_by_definition(text), ascii(text)
    assert decontamination_key(text) == key_by_definition(text), ascii(text)
    assert decontamination_key(normalized) == key_by_definition(normalized), ascii(text)


PIECES = (
    "  ",
    " ",
    "%s",
    "{n}",
    "&amp;",
    "<b>",
    "\u0301",
    "\u1fef",
    "\u2000",
    "\u0344",
    "\U0001d15e",
    "\U00020000",
    "ß",
    "A",
)


@given(st.text() | st.lists(st.sampled_from(PIECES) | st.characters()).map("".join))
def test_the_fast_paths_give_what_the_definition_gives(text):
    assert_by_definition(text)


def test_the_definition_on_every_character():
    for first in (*range(0, 0x32000, 64), *range(0xE0000, 0xE0200, 64)):  # the others are not assigned
        assert_by_definition("".join(f"a{chr(code)}b " for code in range(first, first + 64)))


@pytest.mark.parametrize("everything", sampled([False], [True]))
def test_the_definition_on_real_texts(real_data, everything):
    for text in real_texts(real_data, everything):
        assert_by_definition(text)


def test_keys_of_a_text():
    text = "Delete %(count)d Files?"
    assert text_keys(text) == (text_hash(text), text_hash("delete files"), 2)
    assert text_keys("12 %s")[1:] == (text_hash(""), 0)
    assert text_keys("a " * 70_000)[2] == 0xFFFF  # what its column holds
