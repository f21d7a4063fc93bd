import collections

import numpy as np
import pyarrow as pa
import pytest

from data.beam.conftest import groups_of, places_of, tables_of
from data.gathering.conftest import corpus_of
from jaxemb.data.beam import placing
from jaxemb.data.beam.placing import Places, place
from jaxemb.data.beam.tables import Groups, by_range
from jaxemb.data.preparing import writing
from jaxemb.data.preparing.writing import rows_of_lane


@pytest.mark.parametrize("ranges", [8, 256])
def test_lanes_and_shards_are_those_of_one_machine(tmp_path, sources, ranges, monkeypatch):
    monkeypatch.setattr(writing, "LANE_ROWS", 150)
    monkeypatch.setattr(placing, "SHARD_ROWS", 30)
    corpus = corpus_of(tmp_path / "rows", sources)
    groups, tables = groups_of(corpus), tables_of(corpus)
    by_order = list(by_range(pa.concat_tables(tables[::-1]), "order", ranges))
    counts = [(number, np.bincount(groups.group_of(own), minlength=len(groups))) for number, own in by_order]
    places = Places.of(counts[::-1], ranges, groups)
    assert len(places.counts) == 8
    shards, starts, rows = collections.defaultdict(dict), [], 0
    for number, own in by_order:
        found = place(number, own, places, groups)
        rows += found.rows
        starts += found.starts.tolist()
        for shard, table in found.shards:
            shards[shard].update(zip(table["index"].to_pylist(), places_of(table), strict=True))
    wanted, wanted_starts, first = [], [], 0
    for lane in range(8):
        of_lane = rows_of_lane(corpus, lane, 8)
        assert places.counts[lane].tolist() == of_lane.counts.tolist()
        in_order = [places_of(tables[c])[r] for c, r in zip(of_lane.chunk.tolist(), of_lane.row.tolist(), strict=True)]
        wanted += [dict(enumerate(in_order[i : i + 30], start=i)) for i in range(0, len(in_order), 30)]
        wanted_starts += (of_lane.starts + first).tolist()
        first += len(in_order)
    assert [shards[number] for number in range(len(shards))] == wanted
    assert sorted(starts) == wanted_starts
    assert rows == len({row[:3] for shard in wanted for row in shard.values()}) < len(corpus)


def test_a_lane_may_be_empty(monkeypatch):
    monkeypatch.setattr(writing, "LANE_ROWS", 10)
    groups = Groups.of([(0, "en de")], {0: 2})
    places = Places.of([(0, np.array([25])), (7, np.array([20]))], 8, groups)
    assert places.counts.tolist() == [[25], [0], [0], [20]]
    assert places.first_shard.tolist() == [0, 1, 1, 1]
    assert places.first_example.tolist() == [0, 25, 25, 25]
    assert [places.lane_of(number) for number in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
