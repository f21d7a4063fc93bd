import pytest

from data.gathering.conftest import contents, corpus_of
from jaxemb.data.gathering import duplicates
from jaxemb.data.gathering.corpus import DUPLICATE, TRAIN


@pytest.mark.parametrize(("size", "range_rows"), [(1000, 1 << 20), (50, 1 << 20), (77, 64)])
def test_the_first_of_equal_examples_stays(tmp_path, monkeypatch, sources, size, range_rows):
    """Whatever the chunks, and the ranges that are compared at a time."""
    monkeypatch.setattr(duplicates, "RANGE_ROWS", range_rows)
    corpus = corpus_of(tmp_path / "rows", sources, size)
    duplicates.mark_duplicates(corpus)
    first, others = {}, set()
    for source, rows in enumerate(sources):
        for row in rows:
            place = (source, row.part, row.row, row.variant)
            record = row.record
            key = (record.anchor, record.positive, record.positive_lang)
            if key in first:
                others.add(place)
            else:
                first[key] = place
    assert len(others) > 100
    assert contents(corpus, TRAIN) == set(first.values())
    assert contents(corpus, DUPLICATE) == others
