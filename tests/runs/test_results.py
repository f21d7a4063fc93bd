"""`results.json`: what it holds, and that older files are read."""

import json

import pytest

from jaxemb.evaluation.pools import Pool
from jaxemb.evaluation.suites.heldout import Heldout
from jaxemb.evaluation.suites.sts import Sts
from jaxemb.evaluation.suites.teacher_mse import TeacherMse
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.results import Reports, reports_from_json

HELDOUT = {
    "suite": "heldout",
    "metric": "top-1 retrieval accuracy by cosine, percent",
    "languages": {"de": {"en->xx": 70.0, "xx->en": 80.5, "mean": 75.25, "n": 100, "script": "Latin"}},
    "averages": {"all": {"en->xx": 70.0, "xx->en": 80.5, "mean": 75.25, "present": 1, "of": 1}},
    "notes": ["left out, with fewer than 2 usable pairs: fr"],
}
SETS = {name: {"spearman": value, "pearson": 1.5, "n": 10} for name, value in (("en.dev", 61.5), ("de.dev", 62.5))}
STS = {
    "suite": "sts",
    "metric": "correlation of cosine and gold score, x 100",
    "split": "dev",
    "sets": SETS,
    "average": {"spearman": 62.0, "pearson": 1.5, "present": 2},
    "notes": [],
}
VALUES = {
    "step": 20,
    "exported": None,
    "systems": {"untrained": HELDOUT, "TF-IDF": HELDOUT, "trained": HELDOUT},
    "sts": {"untrained": STS, "TF-IDF": STS, "trained": STS},
    "teacher_mse": {"untrained": {"de": 0.5}, "trained": {"de": 0.25}},
}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path)
    run.results.write_text(json.dumps(VALUES, indent=1, ensure_ascii=False))
    return run


def test_the_file_is_written_as_it_was_read(run):
    before = run.results.read_bytes()
    run.save_results(20, None, run.load_results().reports)
    assert run.results.read_bytes() == before
    run.save_results(None, None, Reports())
    assert run.results.read_text() == (
        '{\n "step": null,\n "exported": null,\n "systems": {},\n "sts": {},\n "teacher_mse": {}\n}'
    )


def test_files_from_before_a_suite_was_there(run):
    run.results.write_text(json.dumps({"step": 1, "exported": 1, "systems": {"trained": HELDOUT}}))
    reports = run.load_results().reports
    assert list(reports.by_suite) == ["heldout"]
    assert reports.of("sts") == {}
    assert reports.to_json() == {"systems": {"trained": HELDOUT}, "sts": {}, "teacher_mse": {}}


def test_reports_by_suite_and_system(run):
    reports = run.load_results().reports
    assert reports.systems == ["untrained", "TF-IDF", "trained"]
    assert [report.suite for report in reports.of_system("TF-IDF")] == ["heldout", "sts"]
    assert reports.scores("trained") == {"held-out all": 75.25, "STS en.dev": 61.5, "STS de.dev": 62.5}
    assert reports.scores("nobody") == {}
    kept = reports.only("untrained", "nobody")
    assert kept.systems == ["untrained"]
    assert list(kept.by_suite) == ["heldout", "sts", "teacher_mse"]
    kept.add("untrained", reports.of("sts")["trained"])
    assert kept.of("sts") == {"untrained": reports.of("sts")["trained"]}


def test_a_report_that_is_read_again_is_the_one_that_was_scored(tmp_path):
    """A resumed run shows what the interrupted one found: all but what was logged of it."""

    def encode(texts):
        import numpy as np

        return np.array([[len(text), text.count("a"), 1.0] for text in texts], np.float32)

    (tmp_path / "en.dev.csv").write_text("a,aa,1\nab,abc,2\nb,ba,5\n")
    pools = [Pool("de", ("a", "b", "ab"), ("aa", "bb", "aabb"), "Latin")]
    scored = Reports()
    for suite in (Heldout(pools, ["fr"]), Sts([tmp_path], "dev", alignment=True), TeacherMse(encode, pools)):
        scored.add("trained", suite.evaluate(encode))
    again = reports_from_json(json.loads(json.dumps(scored.to_json())))
    assert scored.of("sts")["trained"].log.metrics.keys() == {"sts_spearman", "sts_pearson", "alignment", "uniformity"}
    for suite, found in scored.by_suite.items():
        for field in ("table", "values", "notes", "comparison", "scores", "card", "page", "result"):
            assert getattr(again.of(suite)["trained"], field) == getattr(found["trained"], field), (suite, field)
