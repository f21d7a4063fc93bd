import pytest
from rich.console import Console

from jaxemb.evaluation.report import Comparison, Report, ReportTable
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


def test_texts_of_others_are_no_markup():
    table = ReportTable("[b]x", ("[b]file",), ("n",), (("[b]a", "1"),), (("mean", "2"),), "[b]dev")
    report = Report("toy", table, {}, ("[b]note",), Comparison("[b]title", {"[b]score": "[b]3"}))
    shown = _text(report_table(report))
    for text in ("[b]x (toy, [b]dev)", "[b]file", "[b]a", "[b]note"):
        assert text in " ".join(shown.split())
    shown = _text(comparison_table({"[b]system": report}))
    for text in ("[b]title", "[b]score", "[b]3", "[b]system"):
        assert text in shown
    alone = Report("toy", table, {})
    with pytest.raises(ValueError, match="this suite compares no systems"):
        comparison_table({"trained": report, "untrained": alone})
