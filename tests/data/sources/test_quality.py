import pytest
from pydantic import ValidationError

from jaxemb.config import JsonlSource, TsvSource
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources import source_parts
from jaxemb.data.sources.quality import is_low
from jaxemb.readers.lines import BadLine

# WikiMatrix and CCMatrix: margin score, sentence, sentence: tasks/WikiMatrix/extract.py of LASER
MARGINS = "1.20\tone\teins\n1.0499\ttwo\tzwei\nhigh\tthree\tdrei\n1.05\tfour\tvier\nnan\tfive\tfünf\n"


def test_margin_scores(tmp_path):
    (tmp_path / "en-de.tsv").write_text(MARGINS)
    source = TsvSource(
        path="en-de.tsv", anchor_column=1, positive_column=2, quality_column=0, min_quality=1.05, positive_lang="de"
    )
    (part,) = source_parts(source, str(tmp_path))
    one, two, three, four, five = part.read()
    assert (one.anchor, four.anchor, two) == ("one", "four", Skipped("de", "low_score"))
    assert three == BadLine(3, "the quality 'high' is not a finite number", "high\tthree\tdrei")
    assert isinstance(five, BadLine)
    named = source.model_copy(update={"anchor_column": "en", "positive_column": "de", "quality_column": "score"})
    (tmp_path / "en-de.tsv").write_text(f"score\ten\tde\n{MARGINS}")
    (part,) = source_parts(named, str(tmp_path))
    assert [item.anchor for item in part.read() if hasattr(item, "anchor")] == ["one", "four"]


def test_both_settings_or_none():
    with pytest.raises(ValidationError, match="quality_column: set it together with min_quality"):
        TsvSource(path="x", quality_column=0)
    with pytest.raises(ValidationError, match="quality_key: set it together with min_quality"):
        JsonlSource(path="x", min_quality=1.0)


@pytest.mark.parametrize("value", ["", "1,5", None, True, float("inf"), [1.0], "x" * 100])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match="is not a finite number"):
        is_low(value, 1.0)


def test_numbers():
    assert [is_low(value, 1.0) for value in (1, 0.99, "1.0", " 0.5 ")] == [False, True, False, True]
    assert not is_low(0, None)
