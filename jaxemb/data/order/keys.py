"""Random numbers that are a function of what they are for."""

import numpy as np

from jaxemb.data.pairs.holdout import mix


def key_of(seed: int, *parts: int | np.ndarray) -> np.ndarray:
    """Hashes a seed and some numbers to uint64.

    Args:
      seed: any non-negative integer.
      parts: non-negative integers, or integer arrays that broadcast.

    Returns: uint64, of the shape that the parts have together, [1] if all are numbers.
    """
    hashed = mix(np.array([seed % 2**64], np.uint64), 0)
    for salt, part in enumerate(parts, start=1):
        hashed = mix(hashed ^ np.asarray(part).astype(np.uint64), salt)
    return hashed
