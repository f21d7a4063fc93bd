import dataclasses

import pytest

from jaxemb.data.pairs.records import Record, text_names


def test_texts_are_named_in_order():
    assert text_names(1) == ("anchor",)
    assert text_names(2) == ("anchor", "positive")
    assert text_names(5) == ("anchor", "positive", "negative", "negative_1", "negative_2")


def test_a_record_does_not_change():
    record = Record("a", "b", anchor_lang="en", positive_lang="de")
    assert (record.negatives, record.label, record.score, record.source, record.id) == ((), None, None, "", "")
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.label = 1
    assert record == Record("a", "b", (), None, None, "en", "de")
    assert record != dataclasses.replace(record, label=0)
