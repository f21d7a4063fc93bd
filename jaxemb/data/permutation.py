"""Random permutations that are computed on demand, never stored."""

import numpy as np
from jaxtyping import Int

from jaxemb.data.pairs.holdout import mix

_ROUNDS = 6


def permuted(positions: Int[np.ndarray, " K"], size: int | np.ndarray, key: int | np.ndarray) -> Int[np.ndarray, " K"]:
    """The images of these positions under a random permutation of 0..size-1, chosen by `key`.

    A Feistel network over the next even power of two, walked until the value is in range (Black and Rogaway 2002):
    O(1) memory and seek, vectorised over the positions. `grain.MapDataset.shuffle` does the same one index at a
    time, at 8 microseconds each: minutes for a window of batches of 131,072.

    Args:
      positions: int64, each in [0, size).
      size: number of elements of the permutation, below 2**53; or of that of each position, int64 [K].
      key: any non-negative integer below 2**64; or one for each position, uint64 [K].

    Returns: int64, each in [0, size).
    """
    sizes = np.broadcast_to(np.asarray(size, np.int64), positions.shape)
    keys = np.broadcast_to(np.asarray(key, np.uint64), positions.shape)
    bits = np.frexp((sizes - 1).astype(np.float64))[1]  # of the largest element
    halves = np.maximum(1, (bits + 1) // 2).astype(np.uint64)
    values = positions.astype(np.uint64)
    walking = np.arange(len(values))
    while len(walking):
        half, own, x = halves[walking], keys[walking], values[walking]
        low = (np.uint64(1) << half) - np.uint64(1)
        left, right = x >> half, x & low
        for round_ in range(_ROUNDS):
            left, right = right, left ^ (mix(right ^ own, round_) & low)
        x = (left << half) | right
        values[walking] = x
        walking = walking[x >= sizes[walking].astype(np.uint64)]
    return values.astype(np.int64)
