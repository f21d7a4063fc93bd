"""Cosines of sentence pairs, and how they correlate with gold scores."""

import numpy as np
from jaxtyping import Float, Float32

from jaxemb.errors import UserError

_NOISE = 1e-6
"""Cosines of float32 embeddings that lie closer together than this differ by rounding only."""


def correlations(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> tuple[float, float]:
    """Spearman (average ranks for ties) and Pearson correlation, x 100.

    >>> spearman, pearson = correlations(np.array([0.0, 1.0, 4.0, 9.0]), np.array([0.0, 1.0, 2.0, 3.0]))
    >>> round(spearman, 2), round(pearson, 2)
    (100.0, 95.83)
    """
    from scipy import stats

    x, y = x.astype(np.float64), y.astype(np.float64)
    return 100 * float(stats.spearmanr(x, y).statistic), 100 * float(stats.pearsonr(x, y).statistic)


def cosine(a: Float[np.ndarray, "N E"], b: Float[np.ndarray, "N E"]) -> Float32[np.ndarray, "N"]:
    """Cosine of each row of `a` with the same row of `b`; 0 for a row of zeros.

    Computed in float64, then rounded to float32: all pairs of equal sentences get 1 and share their rank.

    >>> a, b = np.array([[0.1, 0.7], [3.0, 4.0], [0.0, 0.0]]), np.array([[0.1, 0.7], [4.0, -3.0], [1.0, 1.0]])
    >>> cosine(a, b)
    array([1., 0., 0.], dtype=float32)
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return ((a * b).sum(1) / np.maximum(norms, np.finfo(np.float64).tiny)).astype(np.float32)


def check_spread(cosines: Float32[np.ndarray, "N"], source: str) -> None:
    """Refuses the cosines of a collapsed model.

    Raises:
      UserError: if all are equal but for rounding; `source` names the file.
    """
    if np.ptp(cosines) < _NOISE:
        raise UserError(
            f"{source}: every pair has the cosine {cosines[0]:.6f}, so there is no correlation: the model's "
            "embeddings have collapsed; use an earlier checkpoint or train with a lower learning rate"
        )
