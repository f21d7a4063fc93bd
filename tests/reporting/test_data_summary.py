"""What the terminal shows of the data."""

from jaxemb.reporting.data_summary import print_data
from support.data_report import report_of_two_sources


def cells(printed):
    return [[cell.strip() for cell in line.strip("│┃").split("│")] for line in printed.splitlines() if "│" in line]


def test_sizes_reasons_and_padding(capsys):
    print_data(report_of_two_sources())
    rows = cells(capsys.readouterr().out)
    assert ["all", "1,400", "1,334", "20", "46", "6"] in rows
    assert ["de", "1,300", "1,234", "20", "46", "6"] in rows
    assert ["too_long", "40"] in rows
    assert ["null (packed): this config", "3.1%", "3"] in rows
    assert ["2, 5", "25.0%", "2"] in rows


def test_the_largest_languages_only_and_no_empty_tables(capsys):
    report = report_of_two_sources()
    of = report["languages"]["fr"]
    report["languages"] = {f"[x{number:02}]": of | {"train": number} for number in range(12)}
    report["totals"] |= {"dropped": {}}
    del report["padding"]
    print_data(report)
    printed = capsys.readouterr().out
    assert [row[0] for row in cells(printed)] == [
        "all (2 more on the page)", *(f"[x{number:02}]" for number in range(11, 1, -1)),
    ]  # fmt: skip
    assert "why examples were dropped" not in printed
