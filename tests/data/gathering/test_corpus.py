import numpy as np
import pytest

from data.gathering.conftest import corpus_of, some_rows
from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT, TRAIN, Corpus


def test_groups_languages_and_fates(tmp_path):
    sources = [some_rows(0, 60), some_rows(1, 60)]
    corpus = corpus_of(tmp_path / "rows", sources, size=25)
    assert corpus.groups == [(source, "en", language) for source in (0, 1) for language in ("de", "fr", "ja")]
    assert corpus.languages == ["de", "fr", "ja"]
    assert len(corpus) == sum(map(len, corpus.chunks)) == 120
    for index, chunk in enumerate(corpus.chunks):
        assert corpus.rows(index).tolist() == list(range(len(chunk)))
        languages = chunk.table["languages"].to_pylist()
        assert [f"en {corpus.languages[n]}" for n in corpus.language_of(index).tolist()] == languages
        groups = [corpus.groups[n] for n in corpus.group_of(index, np.array([3, 0])).tolist()]
        assert groups == [(chunk.source, *languages[row].split()) for row in (3, 0)]
    wanted = {
        language: sum(row.record.positive_lang == language for rows in sources for row in rows)
        for language in corpus.languages
    }
    assert corpus.count(TRAIN) == wanted
    corpus.fates[0][:] = DUPLICATE
    corpus.fates[1][[2, 5]] = HELD_OUT
    assert corpus.rows(0).tolist() == []
    assert corpus.rows(1, HELD_OUT).tolist() == [2, 5]
    assert corpus.count(HELD_OUT).total() == 2
    assert corpus.count(TRAIN).total() == 120 - len(corpus.chunks[0]) - 2


def test_fates_are_found_again_and_stay_as_they_are(tmp_path):
    corpus = corpus_of(tmp_path / "rows", [some_rows(0, 30)])
    corpus.fates[0][3] = DUPLICATE
    again = Corpus(corpus.chunks, tmp_path / "rows")
    assert again.rows(0, DUPLICATE).tolist() == [3]
    with pytest.raises(ValueError, match="read-only"):
        again.fates[0][4] = DUPLICATE
