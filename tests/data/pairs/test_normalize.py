import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.data.pairs.normalize import decontamination_key, normalize_text, text_hash


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
