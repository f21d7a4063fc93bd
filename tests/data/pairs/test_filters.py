import pytest

from jaxemb.config import FilterConfig
from jaxemb.data.pairs.filters import reason_to_drop
from jaxemb.data.pairs.records import Record


@pytest.mark.parametrize(
    ("anchor", "positive", "reason"),
    [
        ("Save", "Speichern", None),
        ("Save", "", "empty"),
        ("", "Speichern", "empty"),
        ("Ab", "Abc", "too_short"),
        ("Save", "x" * 51, "too_long"),
        ("Save", "Save", "identical"),
        ("Save", "x" * 19, None),
        ("Save", "x" * 20, "length_ratio"),
        ("x" * 20, "save", "length_ratio"),
        ("Save", "ж" * 10, "length_ratio"),  # bytes count, not characters
    ],
)
def test_reason(anchor, positive, reason):
    config = FilterConfig(min_chars=3, max_chars=50, max_length_ratio=4.0)
    record = Record(anchor, positive, anchor_lang="en", positive_lang="de")
    assert reason_to_drop(record, config) == reason


def test_identical_may_stay():
    of_two_languages = Record("OK", "OK", anchor_lang="en", positive_lang="de")
    assert reason_to_drop(of_two_languages, FilterConfig(drop_identical=False)) is None
    assert reason_to_drop(Record("OK", "OK", anchor_lang="en", positive_lang="en"), FilterConfig()) is None


def test_a_hard_negative_must_fit_too():
    def reason(negative):
        return reason_to_drop(Record("Save", "Keep", (negative,), anchor_lang="en", positive_lang="en"), FilterConfig())

    assert [reason("Lose"), reason(""), reason("x" * 1001)] == [None, "empty", "too_long"]
