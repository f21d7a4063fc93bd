import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def reason_by_definition(record: Record, config: FilterConfig) -> str | None:
    shorter, *_, longer = sorted(map(len, (record.anchor, record.positive, *record.negatives)))
    fewer, more = sorted(len(text.encode()) for text in (record.anchor, record.positive))
    for reason, holds in {
        "empty": not shorter,
        "too_short": shorter < config.min_chars,
        "too_long": longer > config.max_chars,
        "identical": record.anchor == record.positive and record.anchor_lang != record.positive_lang,
        "length_ratio": more >= 20 and more > config.max_length_ratio * fewer,
    }.items():
        if holds:
            return reason
    return None


texts = st.text("aé漢", max_size=24)


@given(texts, texts, st.lists(texts, max_size=2).map(tuple), st.sampled_from(["en", "de"]))
def test_the_definition_on_any_texts(anchor, positive, negatives, language):
    config = FilterConfig(min_chars=2, max_chars=22, max_length_ratio=3.0)
    record = Record(anchor, positive, negatives, anchor_lang="en", positive_lang=language)
    assert reason_to_drop(record, config) == reason_by_definition(record, config)
