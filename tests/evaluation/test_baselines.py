import sys

import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.evaluation import sts_tfidf
from jaxemb.evaluation.baselines import score_pools_tfidf, tfidf_encode
from jaxemb.evaluation.pools import Pool, score_pools

GERMAN = Pool(
    "de",
    ("The administration of the system", "A green tree", "Photographs and music", "Two houses"),
    ("Photographie und Musik", "Ein grüner Baum", "Die Administration des Systems", "Zwei Häuser"),
    "Latin",
)


def test_shared_letters_are_found_and_nothing_else():
    anchors = ("The administration of the system", "Photographs and music")
    pools = [
        Pool("de", anchors, ("Die Administration des Systems", "Photographie und Musik"), "Latin"),
        Pool("ru", anchors, ("Музыка и фотографии", "Управление системой"), "Cyrillic"),
    ]
    latin, other = score_pools_tfidf(pools)
    assert (latin.forward, latin.backward, latin.n, latin.script) == (100.0, 100.0, 2, "Latin")
    # Nothing is shared: all scores are 0, and the first candidate is taken.
    assert (other.forward, other.backward) == (50.0, 50.0)


def test_the_sparse_count_equals_the_dense_one():
    def encode(texts):
        order = [*GERMAN.anchors, *GERMAN.positives]
        assert list(texts) == order
        a, b = tfidf_encode(GERMAN.anchors, GERMAN.positives)
        return np.concatenate([a.toarray(), b.toarray()])

    [sparse], [dense] = score_pools_tfidf([GERMAN]), score_pools(encode, [GERMAN])
    assert (sparse.forward, sparse.backward) == (dense.forward, dense.backward)
    assert 0 < sparse.forward < 100


def test_the_directions_are_counted_apart():
    [scored] = score_pools_tfidf([Pool("de", ("music", "photo", "music photo"), ("musik photos", "bild", "ton"))])
    # All anchors find "musik photos", which finds "music photo"; the others share nothing and take the first.
    assert (scored.forward, scored.backward) == (pytest.approx(100 / 3), 0.0)


def test_rows_are_unit_vectors_over_one_vocabulary():
    a, b = tfidf_encode(GERMAN.anchors, GERMAN.positives)
    assert a.shape == b.shape == (4, a.shape[1])
    np.testing.assert_allclose(np.linalg.norm(a.toarray(), axis=1), 1, rtol=1e-6)


def test_chunks_of_rows_change_nothing(monkeypatch):
    expected = score_pools_tfidf([GERMAN])
    monkeypatch.setattr("jaxemb.evaluation.baselines._ROWS", 3)
    assert score_pools_tfidf([GERMAN]) == expected


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(UserError, match=r"pip install 'jaxemb\[quickstart\]'"):
        score_pools_tfidf([GERMAN])


def test_tfidf_on_sts_is_the_cosine_of_its_vectors(tmp_path):
    rows = [
        ("a red house", "ein rotes Haus", 5.0),
        ("music", "Musik", 4.0),
        ("a tree", "das Meer", 1.0),
        ("x", "y", 0.5),
    ]
    for language, column in (("en", 0), ("de", 1)):
        lines = [f"{row[column]},{row[column]},{row[2]}\n" for row in rows]
        (tmp_path / f"{language}.dev.csv").write_text("".join(lines), encoding="utf-8")
    found = sts_tfidf([tmp_path], split="dev", language_pairs=[("en", "de")])
    (score,) = found.scores
    assert (score.name, score.n) == ("en-de", 4)
    a, b = (side.toarray().astype(np.float64) for side in tfidf_encode(*zip(*[row[:2] for row in rows], strict=True)))
    cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    assert 0 < cosines[1] < 1
    pearson = np.corrcoef(cosines, [row[2] for row in rows])[0, 1]
    assert score.pearson == pytest.approx(100 * pearson, abs=1e-3)
