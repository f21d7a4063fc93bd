"""What counting characters reaches: TF-IDF of character n-grams (scikit-learn), to set trained models beside."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxemb.errors import UserError
from jaxemb.evaluation.pools import Pool
from jaxemb.evaluation.retrieval_report import PairAccuracy
from jaxemb.texts import Texts, as_texts

NGRAMS = (2, 4)
"""Shortest and longest n-gram, in characters, within words."""
_ROWS = 512


def tfidf_encode(anchors: Texts, positives: Texts) -> tuple[Any, Any]:
    """Both sides as SciPy sparse matrices [N, V] of L2-normalised TF-IDF weights of character n-grams.

    Sub-linear term frequency, lower-cased, n-grams within word boundaries; fitted on both sides of this very pool,
    which is more than any other system gets to see.

    Raises:
      UserError: if scikit-learn is not installed, or a text is no string.
    """
    anchors, positives = as_texts(anchors, "anchors"), as_texts(positives, "positives")
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise UserError(
            "the TF-IDF baseline needs scikit-learn: "
            "pip install 'jaxemb[quickstart]', or set evaluation.baselines: false"
        ) from None
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, sublinear_tf=True, dtype=np.float32)
    both = vectorizer.fit_transform([*anchors, *positives])
    return both[: len(anchors)], both[len(anchors) :]


def score_pools_tfidf(pools: Sequence[Pool]) -> tuple[PairAccuracy, ...]:
    """Accuracy of TF-IDF on each pool in both directions, counted as `score_pools` counts.

    Raises:
      UserError: if scikit-learn is not installed.
    """
    scored = []
    for pool in pools:
        a, b = tfidf_encode(pool.anchors, pool.positives)
        forward, backward = _accuracy(a, b, pool.positives), _accuracy(b, a, pool.anchors)
        scored.append(PairAccuracy(pool.name, forward, backward, len(pool.anchors), pool.script))
    return tuple(scored)


def _accuracy(queries: Any, candidates: Any, texts: Sequence[str]) -> float:
    """Percent of rows whose best candidate has the wanted text; of equal scores the lowest index is taken."""
    right = 0
    for start in range(0, len(texts), _ROWS):
        best = (queries[start : start + _ROWS] @ candidates.T).toarray().argmax(axis=1)
        right += sum(texts[j] == texts[start + i] for i, j in enumerate(best))
    return 100 * right / len(texts)
