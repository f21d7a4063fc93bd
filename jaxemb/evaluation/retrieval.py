"""Bitext retrieval: for each sentence the nearest one of the other language, by cosine."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jaxemb.search import nearest


def retrieval_accuracy(
    a: Float[np.ndarray, "N E"],
    b: Float[np.ndarray, "N E"],
    *,
    a_texts: Sequence[str] | None = None,
    b_texts: Sequence[str] | None = None,
) -> tuple[float, float]:
    """Top-1 retrieval accuracy a->b and b->a, in percent: row i of `a` belongs to row i of `b`.

    Of equal scores the lowest index is taken. With `a_texts` and `b_texts`, finding another row that holds the very
    text wanted is right, too: then the result is that of sentence-transformers' `TranslationEvaluator`. Without them
    only the own row is right, as in LASER's similarity search.

    Args:
      a: one embedding a row, any norm.
      b: those of the translations.
      a_texts: the texts of `a`.
      b_texts: the texts of `b`.

    Raises:
      ValueError: if shapes or the numbers of texts do not fit.
      UserError: if an embedding holds NaN or infinity.

    >>> a = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> b = np.array([[2.0, 0.1], [3.0, 0.2]])
    >>> retrieval_accuracy(a, b)
    (100.0, 50.0)
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} rows against {len(b)}: each needs its translation in the same row")
    for texts in (a_texts, b_texts):
        if texts is not None and len(texts) != len(a):
            raise ValueError(f"{len(texts)} texts for {len(a)} embeddings")
    found_b, found_a = nearest(a, b)
    return _percent_right(found_b, b_texts), _percent_right(found_a, a_texts)


def _percent_right(found: Int[np.ndarray, "N"], texts: Sequence[str] | None) -> float:
    """Share of rows that found themselves, or their own text."""
    if texts is None:
        return float(100 * np.mean(found == np.arange(len(found))))
    return 100 * sum(texts[j] == text for j, text in zip(found, texts, strict=True)) / len(texts)
