import functools

import numpy as np
import pyarrow as pa
import pytest

from data.beam.conftest import groups_of, places_of, tables_of
from data.gathering.conftest import contents, corpus_of, some_rows
from data.gathering.test_heldout import many_rows
from jaxemb.config import HoldoutConfig
from jaxemb.data.beam import choosing
from jaxemb.data.beam.choosing import choose, duplicates, fates_of, merged, of_sources, sketch_of
from jaxemb.data.beam.tables import KEYS, by_range, packed
from jaxemb.data.gathering import heldout
from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT, SIDE_HELD_OUT, TRAIN
from jaxemb.data.gathering.duplicates import mark_duplicates

CONFIG = HoldoutConfig(pairs_per_language=12, max_share=0.5)


def first_of_equal(table: pa.Table, ranges: int) -> list[pa.Table]:
    return [own.filter(pa.array(~duplicates(own))) for _, own in by_range(table, "pair", ranges)]


@pytest.mark.parametrize("ranges", [2, 64])
def test_the_first_of_equal_rows_stays(tmp_path, sources, ranges):
    corpus = corpus_of(tmp_path / "rows", sources)
    mark_duplicates(corpus)
    table = pa.concat_tables(tables_of(corpus)[::-1])
    found = [place for own in first_of_equal(table, ranges) for place in places_of(own)]
    assert len(contents(corpus, DUPLICATE)) > 100
    assert sorted(found) == sorted(contents(corpus, TRAIN))


@pytest.mark.parametrize(
    ("sampled", "held_out_of"), [(False, {0, 1, 2}), (True, {0, 1, 2}), (True, {0, 2}), (False, {1})]
)
def test_the_held_out_set_is_that_of_one_machine(tmp_path, sources, sampled, held_out_of, monkeypatch):
    if sampled:
        for name, value in (("LEAST", 40), ("CANDIDATES", 3), ("_SKETCH", 50)):
            monkeypatch.setattr(heldout, name, value)
    corpus = corpus_of(tmp_path / "rows", sources)
    mark_duplicates(corpus)
    groups = groups_of(corpus)
    parts = first_of_equal(pa.concat_tables(tables_of(corpus)), 64)
    chosen = heldout.hold_out(corpus, held_out_of, CONFIG, seed=5)
    pairs = [of_sources(part, held_out_of) for part in parts]
    sketches = [sketch_of(part, groups, CONFIG, 5) for part in pairs]
    halves = [merged(some, CONFIG) for some in (sketches[20:], sketches[:20], [])]
    sample = merged(halves, CONFIG).sample(CONFIG)
    assert (sample.sides is not None) == sampled
    keys = [each for part in pairs[::-1] for each in packed(sample.rows_of(part), KEYS)]
    choice = choose(keys, sample, groups, CONFIG, 5)
    places = []
    for position in chosen:
        chunk = corpus.chunks[position.chunk]
        values = (chunk.column(name)[position.row] for name in ("part", "row", "variant"))
        places.append((chunk.source, *map(int, values)))
    assert list(choice.places) == places
    found = {TRAIN: set(), HELD_OUT: set(), SIDE_HELD_OUT: set()}
    ranked = []
    for part in parts:
        fates, held = fates_of(part, choice)
        for place, fate in zip(places_of(part), fates.tolist(), strict=True):
            found[fate].add(place)
        ranked += [(rank, places_of(part)[position]) for rank, position in held]
    assert [place for _, place in sorted(ranked)] == places
    assert len(found[SIDE_HELD_OUT]) > 5
    assert found == {fate: contents(corpus, fate) for fate in found}


def test_a_sketch_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    for name, value in (("LEAST", 30), ("CANDIDATES", 1), ("_SKETCH", 50)):
        monkeypatch.setattr(heldout, name, value)
    corpus = corpus_of(tmp_path / "rows", [many_rows(0, 3000)], 3000)
    [table] = tables_of(corpus)
    groups = groups_of(corpus)
    sketch = sketch_of(table, groups, CONFIG, 0)
    assert len(sketch.smallest) == 50
    assert {len(sides) for sides in sketch.sampled.values()} == {30}
    assert sketch.pairs.sum() == 3000
    parts = (sketch_of(own, groups, CONFIG, 0) for _, own in by_range(table, "order", 64))
    whole = functools.reduce(lambda a, b: merged([a, b], CONFIG), parts)
    assert np.array_equal(whole.smallest, sketch.smallest)
    assert whole.sampled.keys() == sketch.sampled.keys()
    assert all(np.array_equal(whole.sampled[language], sides) for language, sides in sketch.sampled.items())


def test_nothing_is_held_out_where_nothing_is_chosen(tmp_path):
    [table] = tables_of(corpus_of(tmp_path / "rows", [some_rows(0, 50)]))
    fates, held = fates_of(table, choosing.NOTHING_CHOSEN)
    assert set(fates.tolist()) == {TRAIN}
    assert held == []
