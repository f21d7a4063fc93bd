"""Random pairs, and the choices of batches whose padding is compared."""

import pytest

from data.gathering.conftest import contents, corpus_of, some_rows
from jaxemb.config import DataConfig, TsvSource
from jaxemb.data import inspection
from jaxemb.data.gathering.corpus import TRAIN
from jaxemb.data.gathering.duplicates import mark_duplicates
from jaxemb.data.inspection import choices_of_buckets, random_heldout, random_pairs
from jaxemb.data.pairs.records import Record


@pytest.fixture
def sources():
    return [some_rows(0), some_rows(1, 200, variants=3), some_rows(2)]


def drawn(corpus, seed, count=20):
    found = random_pairs(corpus, seed, count)
    return {language: [(one.anchor, one.positive) for one in some] for language, some in found.items()}


def test_random_pairs_are_trained_on_and_do_not_depend_on_chunks(tmp_path, sources):
    corpora = [corpus_of(tmp_path / str(size), sources, size) for size in (1000, 37)]
    for corpus in corpora:
        mark_duplicates(corpus)
    found = drawn(corpora[0], 0)
    assert {language: len(pairs) for language, pairs in found.items()} == {"de": 20, "fr": 20, "ja": 20}
    assert drawn(corpora[1], 0) == found
    assert drawn(corpora[0], 1) != found
    assert drawn(corpora[0], 0, 3) == {language: pairs[:3] for language, pairs in found.items()}
    rows = {(source, row.part, row.row, row.variant): row.record for source, own in enumerate(sources) for row in own}
    trained = {(rows[place].anchor, rows[place].positive) for place in contents(corpora[0], TRAIN)}
    every = {pair for pairs in drawn(corpora[0], 0, 10_000).values() for pair in pairs}
    assert every == trained, "all, if so many are asked for"
    for language, pairs in found.items():
        assert all(positive.startswith(language) for _, positive in pairs)
        assert len(set(pairs)) == 20


def test_every_pair_is_as_likely(tmp_path, sources):
    """20 of some 200 pairs, for 60 seeds: a pair is drawn 6 times in the mean; never and 20 times are unlikely."""
    corpus = corpus_of(tmp_path / "rows", sources)
    mark_duplicates(corpus)
    times = dict.fromkeys(drawn(corpus, 0, 10000)["de"], 0)
    for seed in range(60):
        for pair in drawn(corpus, seed)["de"]:
            times[pair] += 1
    mean = 20 * 60 / len(times)
    assert sum(times.values()) == 1200
    assert max(times.values()) < mean + 6 * mean**0.5
    assert min(times.values()) >= 0
    assert sum(count > 0 for count in times.values()) > 0.98 * len(times)


def test_random_held_out_pairs():
    pool = [
        Record(f"number {number}", f"Nummer {number}", anchor_lang="en", positive_lang="de") for number in range(50)
    ]
    found = random_heldout({"de": pool, "fr": pool[:2]}, 0)
    assert len({one.anchor for one in found["de"]}) == 20
    assert random_heldout({"de": pool[::-1]}, 0)["de"] == found["de"], "by content, not by place"
    assert random_heldout({"de": pool}, 1)["de"] != found["de"]
    assert len(found["fr"]) == 2


def test_long_texts_are_cut_for_the_page():
    (one,) = inspection._shown({"de": [Record("a" * 300, "b" * 301, ("c",), score=0.5)]})["de"]
    assert one["texts"] == ["a" * 300, "b" * 299 + "…", "c"]
    assert one["score"] == 0.5


@pytest.mark.parametrize(
    ("longest", "own", "wanted"),
    [
        (64, None, [None, (64,), (16, 32, 64), (16, 32, 48, 64)]),
        (64, (16, 64), [None, (64,), (16, 32, 64), (16, 32, 48, 64), (16, 64)]),
        (64, (64,), [None, (64,), (16, 32, 64), (16, 32, 48, 64)]),
        (3, None, [None, (3,), (1, 2, 3)]),
        (1, None, [None, (1,)]),
    ],
)
def test_choices_of_buckets_are_valid(longest, own, wanted):
    config = DataConfig(sources=(TsvSource(path="en-de.tsv"),), max_length=longest, length_buckets=own)
    assert choices_of_buckets(config) == wanted
    for buckets in wanted:
        DataConfig.model_validate(config.model_dump() | {"length_buckets": buckets})
