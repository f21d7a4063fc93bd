import numpy as np
import pyarrow as pa
import pytest

from data.beam.conftest import groups_of, places_of, tables_of
from data.gathering.conftest import corpus_of
from jaxemb.data.beam import tables
from jaxemb.data.beam.tables import KEYS, ROWS, by_range, packed, unpacked


@pytest.fixture
def corpus(tmp_path, sources):
    return corpus_of(tmp_path / "rows", sources)


def test_what_was_packed_is_unpacked(corpus, monkeypatch):
    monkeypatch.setattr(tables, "_PACKED_ROWS", 70)
    table = pa.concat_tables(tables_of(corpus))
    parts = list(packed(table, ROWS))
    assert len(parts) == -(-len(table) // 70)
    assert unpacked(parts, ROWS).equals(table.combine_chunks())
    assert unpacked(packed(table, KEYS), KEYS).equals(table.select(KEYS.names).combine_chunks())
    assert list(packed(table.slice(0, 0), ROWS)) == []
    assert unpacked([], ROWS).schema == ROWS


def test_a_part_has_the_bytes_of_its_own_rows_only(corpus):
    table = pa.concat_tables(tables_of(corpus)).combine_chunks()
    assert len(next(packed(table.slice(100, 1), ROWS))) < len(next(packed(table, ROWS))) / 50


@pytest.mark.parametrize("ranges", [2, 64, 1 << 14])
def test_ranges_have_all_rows_in_their_order(corpus, ranges):
    table = pa.concat_tables(tables_of(corpus))
    found = dict(by_range(table, "pair", ranges))
    wanted = {}
    for place, pair in zip(places_of(table), table["pair"].to_pylist(), strict=True):
        wanted.setdefault(pair * ranges >> 64, []).append(place)
    assert {number: places_of(own) for number, own in found.items()} == wanted


def test_groups_are_those_of_the_corpus(corpus):
    groups = groups_of(corpus)
    assert list(groups.groups) == corpus.groups
    assert groups.languages == corpus.languages
    for index, table in enumerate(tables_of(corpus)):
        assert np.array_equal(groups.group_of(table), corpus.group_of(index))
        assert np.array_equal(groups.language_of(table), corpus.language_of(index))
    mixed = pa.concat_tables(tables_of(corpus)).take(pa.array(np.arange(len(corpus))[::-1]))
    assert np.array_equal(
        groups.group_of(mixed)[::-1], np.concatenate([corpus.group_of(i) for i in range(len(corpus.chunks))])
    )
    assert len(groups.group_of(mixed.slice(0, 0))) == 0
