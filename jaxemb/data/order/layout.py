"""Where the rows of each group are: lanes, one after the other, and in each lane the groups, one after the other."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer, UInt64

from jaxemb.data.order.keys import key_of

BLOCK = 4096
"""Rows of a block where there are many examples."""
_FEW = 1 << 22


def block_of(examples: int) -> int | None:
    """`Layout.block` for so many examples: with up to four million, any may be read at any time."""
    return None if examples <= _FEW else BLOCK


class Group(NamedTuple):
    """Rows that are drawn from separately."""

    source: int
    """Index of the source in the config."""
    anchor_lang: str
    positive_lang: str

    @property
    def pair(self) -> tuple[str, str]:
        """The two languages, whichever is the anchor's."""
        first, second = sorted((self.anchor_lang, self.positive_lang))
        return first, second


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Places of rows, numbered from 0: lane by lane, in a lane group by group."""

    groups: tuple[Group, ...]
    counts: Int[np.ndarray, "L G"]
    """Rows of each group in each lane."""
    examples: int
    """Number of examples; more than rows if rows have several."""
    block: int | None = None
    """Rows that are read about the same time (see `permuted_in_blocks`); None if any row may be read at any time."""
    starts: Int[np.ndarray, " R"] | None = None
    """The first example of each row, ascending, if rows have several examples."""

    @functools.cached_property
    def begins(self) -> Int[np.ndarray, "L G"]:
        """The first place of each group in each lane."""
        return np.cumsum(self.counts.reshape(-1)).reshape(self.counts.shape) - self.counts

    def examples_at(
        self, places: Int[np.ndarray, " B"], epochs: Int[np.ndarray, " B"], seed: int
    ) -> Int[np.ndarray, " B"]:
        """The examples at these places: of a row with several, the one whose turn it is in that epoch."""
        if self.starts is None:
            return places
        begins = self.starts[places].astype(np.int64)
        following = np.minimum(places + 1, len(self.starts) - 1)
        ends = np.where(places + 1 < len(self.starts), self.starts[following], self.examples)
        turn: UInt64[np.ndarray, " B"] = key_of(seed, 0x7042, places) + epochs.astype(np.uint64)
        return begins + (turn % (ends - begins).astype(np.uint64)).astype(np.int64)


def stored_layout(
    groups: Sequence[tuple[int, str, str]],
    counts: Integer[np.ndarray, "L G"],
    block: int | None = None,
    starts: Int[np.ndarray, " R"] | None = None,
) -> Layout:
    """The layout of shards.

    Args:
      groups: source, language of the anchor and of the positive, of each group.
      counts: examples of each group in each lane.
      block: as of `Layout`.
      starts: as of `Layout`; a row's examples are all in one group of one lane.
    """
    counts = np.asarray(counts, np.int64)
    examples = int(counts.sum())
    if starts is not None:
        borders = np.concatenate([[0], np.cumsum(counts.reshape(-1))])
        counts = np.diff(np.searchsorted(starts, borders)).reshape(counts.shape)
    return Layout(tuple(Group(*group) for group in groups), counts, examples, block, starts)


def one_group(examples: int) -> Layout:
    """The layout of so many examples that do not differ."""
    return Layout((Group(0, "", ""),), np.array([[examples]]), examples)
