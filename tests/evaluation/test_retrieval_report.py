import json

import pytest
from rich.console import Console

from jaxemb.evaluation.retrieval_report import PairAccuracy, RetrievalReport, macro_average
from jaxemb.evaluation.tables import comparison_table, report_table

PAIRS = (PairAccuracy("ru", 50.0, 25.0, 4, "Cyrillic"), PairAccuracy("de", 100.0, 75.5, 1000, "Latin"))
REPORT = RetrievalReport(
    "heldout", ("en->xx", "xx->en"), PAIRS, tuple(macro_average("all", PAIRS, of=14)), ("left out: fr",)
)


def _text(table) -> str:
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_macro_average_counts_languages_not_sentences():
    [average] = macro_average("all", PAIRS)
    assert (average.forward, average.backward, average.mean) == (75.0, 50.25, 62.625)
    assert (average.present, average.of) == (2, 2)
    assert macro_average("none", []) == []


def test_json_holds_everything_and_is_strict():
    text = json.dumps(REPORT.to_json(), allow_nan=False)
    assert json.loads(text) == {
        "suite": "heldout",
        "metric": "top-1 retrieval accuracy by cosine, percent",
        "languages": {
            "ru": {"en->xx": 50.0, "xx->en": 25.0, "mean": 37.5, "n": 4, "script": "Cyrillic"},
            "de": {"en->xx": 100.0, "xx->en": 75.5, "mean": 87.75, "n": 1000, "script": "Latin"},
        },
        "averages": {"all": {"en->xx": 75.0, "xx->en": 50.25, "mean": 62.625, "present": 2, "of": 14}},
        "notes": ["left out: fr"],
    }


def test_the_table_is_sorted_and_complete():
    rows = [line.replace("│", " ").split() for line in _text(report_table(REPORT)).splitlines()]
    assert ["de", "Latin", "100.0", "75.5", "1000"] in rows
    assert rows.index(["de", "Latin", "100.0", "75.5", "1000"]) + 1 == rows.index(
        ["ru", "Cyrillic", "50.0", "25.0", "4"]
    )
    assert ["mean:", "all", "75.0", "50.2", "2", "of", "14"] in rows
    text = _text(report_table(REPORT, title="Before"))
    assert "Before" in text
    assert "en→xx" in text
    assert "left out: fr" in text


def test_scripts_are_shown_only_where_they_are_known():
    plain = RetrievalReport("parallel", ("first->second", "second->first"), (PairAccuracy("x", 1.0, 2.0, 3),), ())
    text = _text(report_table(plain))
    assert "script" not in text
    assert "file" in text


def test_systems_side_by_side():
    text = _text(comparison_table({"trained": REPORT, "untrained": REPORT}))
    assert "all (2)" in text
    cells = [[cell.strip() for cell in line.split("│")] for line in text.splitlines() if "trained" in line]
    assert cells == [["", "trained", "75.0 / 50.2", ""], ["", "untrained", "75.0 / 50.2", ""]]
    other = RetrievalReport("heldout", REPORT.directions, PAIRS[:1], REPORT.averages)
    with pytest.raises(ValueError, match="same pools"):
        comparison_table({"trained": REPORT, "other": other})
