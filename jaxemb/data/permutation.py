"""Random permutations that are computed on demand, never stored."""

import numpy as np
from jaxtyping import Int

from jaxemb.data.pairs.holdout import mix

_ROUNDS = 6


def permuted(positions: Int[np.ndarray, " K"], size: int, key: int) -> Int[np.ndarray, " K"]:
    """The images of these positions under a random permutation of 0..size-1, chosen by `key`.

    A Feistel network over the next even power of two, walked until the value is in range (Black and Rogaway 2002):
    O(1) memory and seek, vectorised over the positions. `grain.MapDataset.shuffle` does the same one index at a
    time, at 8 microseconds each: minutes for a window of batches of 131,072.

    Args:
      positions: int64, each in [0, size).
      size: number of elements of the permutation.
      key: any non-negative integer below 2**64.

    Returns: int64, each in [0, size).
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    low = np.uint64((1 << int(half)) - 1)
    values = positions.astype(np.uint64)
    walking = np.arange(len(values))
    while len(walking):
        x = values[walking]
        left, right = x >> half, x & low
        for round_ in range(_ROUNDS):
            left, right = right, left ^ (mix(right ^ np.uint64(key), round_) & low)
        values[walking] = (left << half) | right
        walking = walking[values[walking] >= np.uint64(size)]
    return values.astype(np.int64)
