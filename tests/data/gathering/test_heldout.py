import dataclasses

import numpy as np
import pytest

from data.gathering.conftest import contents, corpus_of, some_rows
from jaxemb.config import HoldoutConfig
from jaxemb.data.gathering import heldout
from jaxemb.data.gathering.corpus import HELD_OUT, SIDE_HELD_OUT, TRAIN
from jaxemb.data.gathering.duplicates import mark_duplicates
from jaxemb.data.gathering.rows import Row
from jaxemb.data.pairs.holdout import PairKeys, choose_heldout
from jaxemb.data.pairs.normalize import text_keys

CONFIG = HoldoutConfig(pairs_per_language=12, max_share=0.5)


def distinct(sources):
    """The rows that are not duplicates, in order: place, English side, row."""
    seen, found = set(), []
    for source, rows in enumerate(sources):
        for row in rows:
            key = (row.record.anchor, row.record.positive, row.record.positive_lang)
            if key not in seen:
                seen.add(key)
                found.append(((source, row.part, row.row, row.variant), row.record))
    return found


@pytest.mark.parametrize("size", [1000, 60])
def test_small_data_are_looked_at_whole(tmp_path, sources, size):
    corpus = corpus_of(tmp_path / "rows", sources, size)
    mark_duplicates(corpus)
    chosen = heldout.hold_out(corpus, {0, 1, 2}, CONFIG, seed=5)
    left = distinct(sources)
    keys = [(text_keys(record.anchor), text_keys(record.positive)) for _, record in left]
    pool, removed = choose_heldout(
        PairKeys(
            english=np.array([anchor[1] for anchor, _ in keys], np.uint64),
            words=np.array([anchor[2] for anchor, _ in keys]),
            target=np.array([positive[1] for _, positive in keys], np.uint64),
            language=np.array([["de", "fr", "ja"].index(record.positive_lang) for _, record in left]),
        ),
        CONFIG,
        seed=5,
    )
    places = []
    for position in chosen:
        chunk = corpus.chunks[position.chunk]
        values = (chunk.column(name)[position.row] for name in ("part", "row", "variant"))
        places.append((chunk.source, *map(int, values)))
    assert len(pool) > 30
    assert places == [left[place][0] for place in pool]
    assert contents(corpus, HELD_OUT) == set(places)
    assert contents(corpus, HELD_OUT) | contents(corpus, SIDE_HELD_OUT) == {
        left[place][0] for place in np.flatnonzero(removed)
    }


def many_rows(source: int, count: int) -> list[Row]:
    """Rows with more different English sides."""
    return [
        dataclasses.replace(
            row, record=dataclasses.replace(row.record, anchor=f"{row.record.anchor} {'xyz'[source] * (number % 307)}")
        )
        for number, row in enumerate(some_rows(source, count))
    ]


def test_of_large_data_a_sample_is_looked_at(tmp_path, monkeypatch):
    """No English side leaks, the pools are full, and neither chunks nor their number matter."""
    sources = [many_rows(source, 1500) for source in range(3)]
    monkeypatch.setattr(heldout, "LEAST", 100)
    monkeypatch.setattr(heldout, "CANDIDATES", 4)
    monkeypatch.setattr(heldout, "_SKETCH", 200)
    held = []
    looked_at = []
    gather = heldout._gather
    monkeypatch.setattr(
        heldout, "_gather", lambda corpus, chunks, sides: looked_at.append(sides) or gather(corpus, chunks, sides)
    )
    for size in (5000, 400):
        corpus = corpus_of(tmp_path / f"rows{size}", sources, size)
        mark_duplicates(corpus)
        heldout.hold_out(corpus, {0, 1, 2}, CONFIG, seed=1)
        held.append(contents(corpus, HELD_OUT))
        assert corpus.count(HELD_OUT) == {"de": 12, "fr": 12, "ja": 12}
        records = {
            (source, row.part, row.row, row.variant): row.record for source, rows in enumerate(sources) for row in rows
        }
        sides = {records[place].anchor for place in held[-1]}
        assert not sides & {records[place].anchor for place in contents(corpus, TRAIN)}
        assert sides >= {records[place].anchor for place in contents(corpus, SIDE_HELD_OUT)}
    assert held[0] == held[1]
    assert all(sides is not None and 100 <= len(sides) <= 300 for sides in looked_at)


def test_the_number_of_english_sides_is_estimated(tmp_path, monkeypatch):
    sources = [many_rows(source, 1500) for source in range(3)]
    corpus = corpus_of(tmp_path / "rows", sources)
    exact = heldout._population(corpus, range(len(corpus.chunks)), 0).sides
    assert exact == len({row.record.anchor for rows in sources for row in rows})
    monkeypatch.setattr(heldout, "_SKETCH", 500)
    assert heldout._population(corpus, range(len(corpus.chunks)), 0).sides == pytest.approx(exact, rel=0.15)
    assert heldout._population(corpus, range(len(corpus.chunks)), 0).sides != exact


def test_nothing_is_held_out_on_request(tmp_path, sources):
    corpus = corpus_of(tmp_path / "rows", sources)
    assert heldout.hold_out(corpus, {0, 1, 2}, HoldoutConfig(pairs_per_language=0), 0) == []
    assert corpus.count(TRAIN).total() == len(corpus)


def test_pairs_of_some_sources_only_are_held_out_and_no_row_of_any_shares_a_side(tmp_path, sources):
    corpus = corpus_of(tmp_path / "rows", sources)
    mark_duplicates(corpus)
    heldout.hold_out(corpus, {1}, CONFIG, 0)
    held = contents(corpus, HELD_OUT)
    assert {source for source, *_ in held} == {1}
    records = {
        (source, row.part, row.row, row.variant): row.record for source, rows in enumerate(sources) for row in rows
    }
    sides = {records[place].anchor for place in held}
    assert not sides & {records[place].anchor for place in contents(corpus, TRAIN)}
    assert {source for source, *_ in contents(corpus, SIDE_HELD_OUT)} > {1}
