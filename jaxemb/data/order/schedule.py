"""Which group comes at which position of a lane, by whole-number weights."""

import numpy as np
from jaxtyping import Int

from jaxemb.data.order.keys import key_of

LARGEST = 1 << 50
"""Weights of a lane add up to less than this."""


class Schedule:
    """An endless sequence of groups for each lane, a pure function of the seed and the position.

    A lane's period is the sum of its weights. In each period a group comes exactly as often as its weight says, and in
    any part of it about in proportion: a binary tree over the groups divides the positions. A node whose left half has
    the weight a, of a total of t, sends floor((q a + phase) / t) of its first q positions to the left. The phase is
    random, in [0, t), for each node, lane, period and seed. So seeking takes log2(groups) steps, without tables.
    """

    def __init__(self, weights: Int[np.ndarray, "L G"], seed: int) -> None:
        """Plans the sequences.

        Args:
          weights: how often each group comes in a period of each lane, from 0; no lane has only zeros.
          seed: of the phases.
        """
        lanes, self._groups = weights.shape
        self._depth = (self._groups - 1).bit_length()
        self._seed = seed
        self._ends = np.zeros((lanes, (1 << self._depth) + 1), np.int64)
        """Sums of the weights before each group; the tree is padded with groups of weight 0."""
        np.cumsum(weights, axis=1, out=self._ends[:, 1 : self._groups + 1])
        self._ends[:, self._groups + 1 :] = self._ends[:, self._groups, None]
        if self._ends[:, -1].min() < 1 or self._ends[:, -1].max() >= LARGEST:
            raise ValueError(f"the weights of a lane must add up to 1 or more, and less than {LARGEST}")

    def at(
        self, lanes: Int[np.ndarray, " B"], positions: Int[np.ndarray, " B"]
    ) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
        """The group at each position of a lane, and how often it came earlier in that lane.

        Args:
          lanes: lane of each position.
          positions: from 0, counted within the lane.
        """
        period, q = np.divmod(positions, self._ends[lanes, -1])
        key = key_of(self._seed, 0x5C4E, lanes, period)
        first = np.zeros(len(positions), np.int64)  # group of the node
        for level in range(self._depth - 1, -1, -1):
            middle = first + (1 << level)
            begin, end = self._ends[lanes, first], self._ends[lanes, first + (2 << level)]
            total, left = end - begin, self._ends[lanes, middle] - begin
            phase = (key_of(0, key, first, level) % total.astype(np.uint64)).astype(np.int64)
            before, rest = _scaled(q, left, phase, total)
            goes_left = rest + left >= total
            first = np.where(goes_left, first, middle)
            q = np.where(goes_left, before, q - before)
        return first, period * (self._ends[lanes, first + 1] - self._ends[lanes, first]) + q


def _scaled(q: np.ndarray, a: np.ndarray, phase: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quotient and remainder of (q * a + phase) / total, where q and a are at most total, below 2**50.

    The product may overflow. The quotient in float64 is wrong by one at most, and the remainder is exact modulo 2**64.
    """
    quotient = np.floor((q.astype(np.float64) * a + phase) / total).astype(np.int64)
    remainder = q * a + phase - quotient * total
    wrong = (remainder >= total).astype(np.int64) - (remainder < 0)
    return quotient + wrong, remainder - wrong * total
