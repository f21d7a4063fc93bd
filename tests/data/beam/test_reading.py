import pyarrow as pa
import pytest

from data.beam.conftest import places_of
from jaxemb.data.beam import reading
from jaxemb.data.beam.reading import UnitFacts, clean_unit, groups_of, report_of
from jaxemb.data.gathering import units
from jaxemb.data.gathering.cleaning import clean_units
from jaxemb.data.gathering.corpus import Corpus
from jaxemb.data.gathering.units import units_of
from jaxemb.errors import UserError


def test_rows_and_report_are_those_of_one_machine(config, tmp_path, monkeypatch):
    units.parts_of.cache_clear()
    monkeypatch.setattr(units, "UNIT_BYTES", 1)
    monkeypatch.setattr(reading, "_BLOCK_ROWS", 7)
    every = units_of(config)
    cleaned = clean_units(every, config, tmp_path / "rows", workers=1)
    tables, facts = [], []
    for number, unit in enumerate(every):
        *found, last = clean_unit(number, unit, config)
        assert isinstance(last, UnitFacts)
        tables += found
        facts.append(last)
    assert max(map(len, tables)) < 7 * 16
    table = pa.concat_tables([table.cast(tables[0].schema) for table in tables])
    wanted = {}
    for chunk in cleaned.chunks:
        for values in chunk.table.to_pylist():
            wanted[chunk.source, values["part"], values["row"], values["variant"]] = values
    assert places_of(table) == sorted(wanted)
    for place, values in zip(places_of(table), table.drop_columns("source").to_pylist(), strict=True):
        assert values == wanted[place]
    facts.reverse()
    report = report_of(facts)
    assert report.read["de"] == 400
    assert report.state() == cleaned.report.state()
    groups = groups_of(facts)
    (tmp_path / "fates").mkdir()
    assert list(groups.groups) == Corpus(cleaned.chunks, tmp_path / "fates").groups
    assert dict(groups.texts) == {0: 2, 1: 2, 2: 3, 3: 2, 4: 2, 5: 2}


def test_another_number_of_hard_negatives_is_refused():
    def facts(number, source, negatives):
        return UnitFacts(number, source, "{}", ("en de",), ((negatives, f"file:{number}"),))

    groups_of([facts(0, 0, 1), facts(1, 1, 2)])
    with pytest.raises(UserError, match="file:2 has 2 hard negatives, but the examples before it have 1"):
        groups_of([facts(2, 1, 2), facts(0, 0, 1), facts(1, 1, 1)])
