"""What the report says of rows that were dropped after all files were read."""

import pytest

from data.gathering.conftest import contents, corpus_of
from jaxemb.data.gathering.corpus import DUPLICATE, TRAIN
from jaxemb.data.gathering.duplicates import mark_duplicates
from jaxemb.data.preparing.fates import counts_of_groups, examples_of_fates, first_records


@pytest.mark.parametrize("size", [1000, 37])
def test_the_first_duplicates_are_shown_however_rows_are_cut(tmp_path, sources, size):
    corpus = corpus_of(tmp_path / "rows", sources, size)
    mark_duplicates(corpus)
    places = sorted(contents(corpus, DUPLICATE))
    rows = {(source, row.part, row.row, row.variant): row.record for source, own in enumerate(sources) for row in own}
    wanted = [(rows[place].id, rows[place].anchor) for place in places]
    for count in (5, 90, len(wanted) + 10):
        assert [(one.id, one.anchor) for one in first_records(corpus, DUPLICATE, count)] == wanted[:count]
    shown = examples_of_fates(corpus)
    assert [one["id"] for one in shown["duplicate"]] == [name for name, _ in wanted[:5]]
    assert list(shown) == ["duplicate"]


def test_counts_by_source_and_languages(tmp_path, sources):
    corpus = corpus_of(tmp_path / "rows", sources)
    mark_duplicates(corpus)
    rows = {(source, row.part, row.row, row.variant): row.record for source, own in enumerate(sources) for row in own}
    counted = counts_of_groups(corpus, ["first", "second", "third"])
    assert [(one["source"], one["positive_lang"]) for one in counted] == [
        (source, language) for source in ("first", "second", "third") for language in ("de", "fr", "ja")
    ]
    for name, fate in (("train", TRAIN), ("duplicate", DUPLICATE)):
        for one in counted:
            source = ("first", "second", "third").index(one["source"])
            own = [place for place in contents(corpus, fate) if place[0] == source]
            assert one[name] == sum(rows[place].positive_lang == one["language"] for place in own)
    assert {one["heldout"] for one in counted} == {0}
