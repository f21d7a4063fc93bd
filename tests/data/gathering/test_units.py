import pytest

from jaxemb.config import DataConfig, TextSource, TsvSource
from jaxemb.data.gathering import units
from jaxemb.data.gathering.units import read_unit, units_of
from jaxemb.data.pairs.report import Report
from jaxemb.errors import UserError


@pytest.fixture
def config(tmp_path) -> DataConfig:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("a line\n" * 10 * (number + 1))
    return DataConfig(root=str(tmp_path), sources=(TextSource(path="*.txt", language="en"), TextSource(path="3.txt")))


def test_small_files_are_put_together(config, monkeypatch):
    monkeypatch.setattr(units, "UNIT_BYTES", 400)
    found = [(unit.source, unit.first, unit.stop, unit.bytes) for unit in units_of(config)]
    assert found == [(0, 0, 2, 210), (0, 2, 3, 210), (0, 3, 4, 280), (0, 4, 5, 350), (1, 0, 1, 280)]


def test_the_key_changes_with_the_files(config, tmp_path):
    first = [unit.key for unit in units_of(config)]
    assert [unit.key for unit in units_of(config)] == first
    assert len(set(first)) == 2
    (tmp_path / "4.txt").write_text("another line\n")
    second = [unit.key for unit in units_of(config)]
    assert second[0] != first[0]
    assert second[1] == first[1]
    (tmp_path / "test.txt").write_text("a sentence of a test\n")
    assert not {unit.key for unit in units_of(config, [tmp_path / "test.txt"])} & set(second)


def test_a_file_that_changes_meanwhile_is_an_error(config, tmp_path):
    unit = units_of(config)[0]
    rows = read_unit(unit, config, Report())
    next(rows)
    with (tmp_path / "0.txt").open("a") as file:
        file.write("one more\n")
    with pytest.raises(UserError, match=r"0\.txt: changed while it was read; start again when nothing writes to it"):
        list(rows)


def test_what_a_source_leaves_out_is_shown(tmp_path):
    (tmp_path / "a.tsv").write_text("one\teins\t1.2\ntwo\tzwei\t0.9\nthree\tdrei\t0.1\n")
    source = TsvSource(path="a.tsv", positive_lang="de", quality_column=2, min_quality=1.0)
    config, report = DataConfig(root=str(tmp_path), sources=(source,)), Report()
    (unit,) = units_of(config)
    assert [row.record.anchor for rows in read_unit(unit, config, report) for row in rows] == ["one"]
    assert report.dropped == {"de": {"low_score": 2}}
    shown = [(one["id"], one["anchor"], one["positive"]) for one in report.examples["low_score"]]
    assert shown == [("a.tsv:2", "'two'", "'zwei'"), ("a.tsv:3", "'three'", "'drei'")]
