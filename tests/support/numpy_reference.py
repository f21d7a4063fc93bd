"""The in-batch losses once more, in float64 NumPy, row by row in plain loops: slow, obvious, and with gradients.

Nothing here is shared with the library. `tests/losses/test_numpy_reference.py` checks the gradients by differences.
"""

from dataclasses import dataclass

import numpy as np

FLOOR = 1e-12


def unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return x / np.sqrt(np.maximum(np.sum(x**2, axis=1, keepdims=True), FLOOR))


def unit_gradient(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The gradient with respect to x, given the one with respect to unit(x)."""
    x = np.asarray(x, np.float64)
    norm = np.sqrt(np.sum(x**2, axis=1, keepdims=True))
    y = unit(x)
    return np.where(norm**2 > FLOOR, (g - y * np.sum(y * g, axis=1, keepdims=True)) / np.maximum(norm, 1e-6), g / 1e-6)


def softmax_row(cosines: np.ndarray, positive: int, negatives: list[int], scale: float, margin: float):
    """Loss of one query and its gradient with respect to the cosines."""
    columns = [positive, *negatives]
    logits = scale * cosines[columns]
    logits[0] -= scale * margin
    probabilities = np.exp(logits - logits.max())
    total = probabilities.sum()
    loss = np.log(total) + logits.max() - logits[0]
    gradient = np.zeros_like(cosines)
    gradient[columns] = scale * probabilities / total
    gradient[positive] -= scale
    return loss, gradient


def info_nce(queries, candidates, *, scale, margin=0.0, positives=None, excluded=None, cotangent=None):
    """Losses of all rows, and the gradients of `cotangent @ losses` with respect to queries and candidates."""
    q, c = unit(queries), unit(candidates)
    cosines, gradient = q @ c.T, np.zeros((len(q), len(c)))
    losses = np.zeros(len(q))
    cotangent = np.ones(len(q)) if cotangent is None else cotangent
    for i in range(len(q)):
        own = i if positives is None else int(positives[i])
        negatives = [j for j in range(len(c)) if j != own and not (excluded is not None and excluded[i, j])]
        losses[i], row = softmax_row(cosines[i], own, negatives, scale, margin)
        gradient[i] = cotangent[i] * row
    return losses, unit_gradient(queries, gradient @ c), unit_gradient(candidates, gradient.T @ q)


@dataclass
class BatchLoss:
    loss: float
    anchor_gradient: np.ndarray
    positive_gradient: np.ndarray
    metrics: dict[str, float]


def bidirectional(
    anchors, positives, *, scale, margin, directions="mean", anchor_hashes=None, positive_hashes=None, weights=None,
    blocks=1,
) -> BatchLoss:  # fmt: skip
    """The weighted loss of the whole batch; with `blocks`, negatives come from the row's own block only."""
    n = len(anchors)
    a, p = unit(anchors), unit(positives)
    weights = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    share = 1.0 if directions == "sum" else 0.5
    gradient = np.zeros((n, n))  # with respect to cos(anchor i, positive j)
    cosines = a @ p.T
    loss = 0.0
    live, hits, hardest, with_negative, duplicated, negative_count, own_cosine = 0, 0.0, 0.0, 0, 0, 0, 0.0

    def same(i: int, j: int) -> bool:
        return any(h is not None and tuple(h[i]) == tuple(h[j]) for h in (anchor_hashes, positive_hashes))

    for i in range(n):
        if weights[i] == 0:
            continue
        others = [j for j in range(n) if j != i and weights[j] > 0 and i // (n // blocks) == j // (n // blocks)]
        negatives = [j for j in others if not same(i, j)]
        w = weights[i] / weights.sum()
        forward, row = softmax_row(cosines[i], i, negatives, scale, margin)
        backward, column = softmax_row(cosines[:, i], i, negatives, scale, margin)
        loss += w * share * (forward + backward)
        gradient[i] += w * share * row
        gradient[:, i] += w * share * column
        live += 1
        own_cosine += cosines[i, i]
        duplicated += len(negatives) < len(others)
        negative_count += len(negatives)
        with_negative += bool(negatives)
        for line in (cosines[i], cosines[:, i]):
            closest = max((line[j] for j in negatives), default=-np.inf)
            hits += 0.5 * (line[i] > closest)
            hardest += 0.5 * closest if negatives else 0.0
    return BatchLoss(
        loss,
        unit_gradient(anchors, gradient @ p),
        unit_gradient(positives, gradient.T @ a),
        {
            "accuracy": hits / live,
            "positive_similarity": own_cosine / live,
            "hardest_negative_similarity": hardest / with_negative if with_negative else 0.0,
            "duplicate_rate": duplicated / live,
            "negatives_per_query": negative_count / live,
        },
    )


def distance(actual, expected) -> float:
    """Largest absolute difference, relative to the largest expected magnitude where that is above 1."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    error = float(np.max(np.abs(actual - expected)) / max(1.0, np.max(np.abs(expected))))
    return error if np.isfinite(error) else np.inf
