"""Embeddings of pairs that are near each other."""

import numpy as np


def noisy_pairs(n: int, width: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, width))
    b = a + noise * rng.normal(size=(n, width))
    scales = np.exp(rng.normal(size=(2, n, 1)))
    return (a * scales[0]).astype(np.float32), (b * scales[1]).astype(np.float32)
