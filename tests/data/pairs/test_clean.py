import dataclasses
import gzip

import pytest

from jaxemb.config import FilterConfig
from jaxemb.data.pairs.clean import Dropped, clean
from jaxemb.data.pairs.exclude import Exclusion
from jaxemb.data.pairs.records import Record

CONFIG = FilterConfig(min_chars=3, max_chars=50, max_length_ratio=4.0)


def pair(anchor, positive, *negatives):
    return Record(anchor, positive, negatives, anchor_lang="en", positive_lang="de", source="s", id="f:1")


def test_all_texts_are_normalised_and_the_rest_is_kept():
    given = Record("  Cafe\u0301\tbar ", "Ein\u00a0 Cafe\u0301\x00", (" Bar ",), 2, 0.5, "en", "de", "source", "file:7")
    kept = clean(given, CONFIG)
    assert kept == dataclasses.replace(given, anchor="Café bar", positive="Ein Café", negatives=("Bar",))
    assert clean(kept, CONFIG) == kept
    assert given.anchor == "  Cafe\u0301\tbar "


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (pair(" \t", "Speichern"), "empty"),
        (pair("Save", "Speichern", "\x00"), "empty"),
        (pair(" Ab ", "Abc"), "too_short"),  # what is removed does not count
        (pair("Save", "x" * 51), "too_long"),
        (pair("Save ", "Save"), "identical"),  # equal once they are normalised
        (pair("Save", "x" * 20), "length_ratio"),
    ],
)
def test_a_record_is_dropped_for_a_reason_after_it_is_normalised(record, reason):
    assert clean(record, CONFIG) == Dropped(reason)


def test_spaces_do_not_make_a_text_too_long():
    assert clean(pair("Save" + " " * 60, "Speichern"), CONFIG) == pair("Save", "Speichern")


def test_an_excluded_sentence_is_dropped_on_either_side(tmp_path):
    (tmp_path / "test.txt.gz").write_bytes(gzip.compress(b"a cat SAT down\nok\n"))
    exclusion = Exclusion([tmp_path / "test.txt.gz"])
    cat = "A  cat sat down."
    assert clean(pair(cat, "Eine Katze"), CONFIG, exclusion) == Dropped("excluded")
    assert clean(pair("Eine Katze", cat), CONFIG, exclusion) == Dropped("excluded")
    assert clean(pair("Two cats", "Zwei Katzen"), CONFIG, exclusion) == pair("Two cats", "Zwei Katzen")
    assert clean(pair(cat, "Eine Katze"), CONFIG) == pair("A cat sat down.", "Eine Katze")
    # A filter that applies as well gives the reason: the report's counts depend on this order.
    assert clean(pair("OK", "OK"), CONFIG, exclusion) == Dropped("too_short")
