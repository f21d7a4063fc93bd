import json

from jaxemb.evaluation.retrieval_report import PairAccuracy, RetrievalReport, macro_average, report_from_json

PAIRS = (PairAccuracy("ru", 50.0, 25.0, 4, "Cyrillic"), PairAccuracy("de", 100.0, 75.5, 1000, "Latin"))
REPORT = RetrievalReport(
    "heldout", ("en->xx", "xx->en"), PAIRS, tuple(macro_average("all", PAIRS, of=14)), ("left out: fr",)
)


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


def test_from_json_gives_it_again():
    assert report_from_json(json.loads(json.dumps(REPORT.to_json()))) == REPORT


def test_the_report_for_tables_and_files():
    report = REPORT.report()
    assert (report.suite, report.values, report.notes) == ("heldout", REPORT.to_json(), ("left out: fr",))
    assert report.result is REPORT
    assert report.table.columns == ("language", "script")
    assert report.table.rows == (("de", "Latin", "100.0", "75.5", "1000"), ("ru", "Cyrillic", "50.0", "25.0", "4"))
    assert report.table.means == (("mean: all", "", "75.0", "50.2", "2 of 14"),)
    assert report.comparison.cells == {"all (2)\nen→xx / xx→en": "75.0 / 50.2"}
    assert report.comparison.over == (("ru", 4), ("de", 1000))
