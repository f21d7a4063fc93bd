import pytest

from jaxemb.data.pairs.report import FileTally, Report
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine


def tally(lines: int, bad: int) -> FileTally:
    result = FileTally("corpus.tsv")
    for number in range(bad):
        result.add_bad(BadLine(number + 7, "1 columns", f"content {number} " + "x" * 500))
    result.lines = lines
    return result


def test_too_many_bad_lines_quote_the_first_and_name_the_key():
    with pytest.raises(UserError) as error:
        tally(lines=100, bad=3).check(0.02)
    message = str(error.value)
    assert "corpus.tsv: 3 of 100 lines" in message
    assert "line 7, 1 columns: 'content 0 xxx" in message
    assert "data.filters.max_bad_line_share" in message
    assert len(message) < 500


def test_few_bad_lines_pass():
    tally(lines=100, bad=2).check(0.02)
    tally(lines=0, bad=0).check(0.0)


def test_report_quotes_each_file_once():
    report = Report()
    report.read.update(de=10, fr=2)
    report.drop("de", "empty", 3)
    report.finish_file(tally(lines=1000, bad=2), 0.01)
    report.finish_file(tally(lines=1000, bad=0), 0.01)
    summary = report.as_json(train={"de": 5, "fr": 2}, heldout={"de": 2})
    assert summary["languages"]["de"] == {"read": 10, "train": 5, "heldout": 2, "dropped": {"empty": 3}}
    assert summary["totals"] == {"read": 12, "train": 7, "heldout": 2, "dropped": {"empty": 3}, "bad_lines": 2}
    (file,) = summary["bad_lines"]
    assert file["first"].startswith("corpus.tsv:7: 1 columns: 'content 0")
