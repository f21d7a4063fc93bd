"""Lengths of texts, counted by language."""

import collections

from data.gathering.conftest import contents, corpus_of
from jaxemb.data.gathering.corpus import TRAIN
from jaxemb.data.gathering.duplicates import mark_duplicates
from jaxemb.data.gathering.rows import Row
from jaxemb.data.pairs.records import Record
from jaxemb.data.preparing.text_lengths import count_characters


def test_characters_of_what_is_trained_on(tmp_path, sources):
    corpus = corpus_of(tmp_path / "rows", sources, 70)
    mark_duplicates(corpus)
    wanted = collections.defaultdict(collections.Counter)
    rows = {(source, row.part, row.row, row.variant): row.record for source, own in enumerate(sources) for row in own}
    for place in contents(corpus, TRAIN):
        wanted["en"][len(rows[place].anchor)] += 1
        wanted[rows[place].positive_lang][len(rows[place].positive)] += 1
    found = count_characters(corpus)
    assert list(found) == ["de", "en", "fr", "ja"]
    for language, counts in found.items():
        assert {length: count for length, count in enumerate(counts) if count} == wanted[language]
        assert len(counts) - 1 == max(wanted[language])


def test_negatives_count_and_a_sentence_that_is_its_own_positive_counts_once(tmp_path):
    triplet = Record("häuser", "日本", ("a", "abcd"), anchor_lang="de", positive_lang="ja")
    single = Record("abc", "abc", anchor_lang="en", positive_lang="en")
    corpus = corpus_of(tmp_path / "rows", [[Row(0, 0, 0, triplet)], [Row(0, 0, 0, single)]])
    assert count_characters(corpus) == {"de": [0] * 6 + [1], "en": [0, 0, 0, 1], "ja": [0, 1, 1, 0, 1]}
