"""The endless sequence of rows of each lane."""

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxemb.data.order.blocks import permuted_in_blocks
from jaxemb.data.order.keys import key_of
from jaxemb.data.order.layout import Layout
from jaxemb.data.order.schedule import Schedule
from jaxemb.data.order.weights import lane_weights


class Lanes:
    """Examples of some groups: position p is in lane p mod L, and is number p // L of it.

    `Schedule` says which group comes. Each group of a lane has epochs of its own, each another permutation of its rows.
    Memory is O(lanes x groups).
    """

    def __init__(self, layout: Layout, groups: Int[np.ndarray, " K"], rate: Float[np.ndarray, " K"], seed: int) -> None:
        """Plans the sequences.

        Args:
          layout: where rows are.
          groups: indices of the groups; at least one has a row.
          rate: how often a row of each of them is drawn (`rates`).
          seed: of all order.
        """
        self._layout, self._groups, self._seed = layout, groups, seed
        counts = layout.counts[:, groups]
        self._lane, self._sharers, self._turn = _donors(counts.sum(axis=1) > 0)
        self._schedule = Schedule(lane_weights(counts, rate)[self._lane], seed)

    def examples(self, positions: Int[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
        """The examples at these positions."""
        number, lane = np.divmod(positions, len(self._lane))
        number = number * self._sharers[lane] + self._turn[lane]
        lane = self._lane[lane]
        index, before = self._schedule.at(lane, number)
        group = self._groups[index]
        size = self._layout.counts[lane, group]
        epoch, place = np.divmod(before, size)
        key = key_of(self._seed, 0xB10C, lane, group, epoch)
        place = permuted_in_blocks(place, size, key, self._layout.block)
        return self._layout.examples_at(self._layout.begins[lane, group] + place, epoch, self._seed)


def _donors(there: Bool[np.ndarray, " L"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lanes that lack rows take those of the nearest lane that has some (the smallest exclusive or of their numbers).

    Returns: for each lane, int64 [L], the lane whose rows it takes, how many lanes take these, and which of those it
      is.
    """
    lanes, some = np.arange(len(there)), np.flatnonzero(there)
    donor = lanes.copy()
    for lane in np.flatnonzero(~there):
        donor[lane] = some[np.argmin(some ^ lane)]
    ranked = np.argsort(donor, kind="stable")
    turn = np.empty_like(lanes)
    turn[ranked] = lanes - np.searchsorted(donor[ranked], donor[ranked])
    return donor, np.bincount(donor, minlength=len(lanes))[donor], turn
