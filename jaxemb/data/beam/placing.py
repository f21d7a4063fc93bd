"""Where each training example belongs: its lane, its position in the lane, its shard.

The examples of each range of hashes are counted first; the sums say where each range begins (TFDS's `BeamWriter` does
so, too). So no machine sorts more than one range.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from jaxemb.data.beam.tables import Groups, column
from jaxemb.data.preparing.writing import SHARD_ROWS, final_order, lanes_for


@dataclasses.dataclass(frozen=True)
class Places:
    """The lanes, and where the examples of each range and group begin in theirs."""

    counts: np.ndarray
    """int64 [L, G], examples of each lane and group."""
    begins: np.ndarray
    """int64 [R, G], position in the lane of the first example of each range and group."""
    first_shard: np.ndarray
    """int64 [L], number of each lane's first shard."""
    first_example: np.ndarray
    """int64 [L], global index of each lane's first example."""

    @classmethod
    def of(cls, found: Iterable[tuple[int, np.ndarray]], ranges: int, groups: Groups) -> "Places":
        """The places of training examples.

        Args:
          found: for a range of `order`, int64 [G], the number of examples of each group; ranges without examples may be
            missing.
          ranges: R, at least as many as there may be lanes.
          groups: G of them.
        """
        cells = np.zeros((ranges, len(groups)), np.int64)
        for number, counts in found:
            cells[number] = counts
        lanes = lanes_for(int(cells.sum()))
        by_lane = cells.reshape(lanes, ranges // lanes, len(groups))
        counts = by_lane.sum(1)
        sizes = counts.sum(1)
        begins = (np.cumsum(by_lane, axis=1) - by_lane) + (np.cumsum(counts, axis=1) - counts)[:, None]
        shards = -(-sizes // SHARD_ROWS)
        return cls(counts, begins.reshape(cells.shape), np.cumsum(shards) - shards, np.cumsum(sizes) - sizes)

    def lane_of(self, number: int) -> int:
        """The lane of a range."""
        return number * len(self.counts) // len(self.begins)


@dataclasses.dataclass(frozen=True)
class PlacedRange:
    """The training examples of a range, in their final order."""

    shards: list[tuple[int, pa.Table]]
    """For the number of a shard, examples with a column `index`: their position in the lane."""
    rows: int
    """Rows of the sources that the examples are of."""
    starts: np.ndarray
    """int64, the global index of the first example of each row."""


def place(number: int, table: pa.Table, places: Places, groups: Groups) -> PlacedRange:
    """Sorts the training examples of a range of `order`, which has all of them, and finds their shards."""
    group = groups.group_of(table)
    ranked, first = final_order(
        group, column(table, "order"), (column(table, "part"), column(table, "row"), column(table, "variant"))
    )
    group, lane = group[ranked], places.lane_of(number)
    index = places.begins[number][group] + np.arange(len(group)) - np.searchsorted(group, group)
    table = table.take(pa.array(ranked)).append_column("index", pa.array(index))
    return PlacedRange(
        list(_by_shard(table, index // SHARD_ROWS + places.first_shard[lane])),
        _rows(table),
        index[first] + places.first_example[lane],
    )


def _by_shard(table: pa.Table, shard: np.ndarray) -> Iterator[tuple[int, pa.Table]]:
    found, starts = np.unique(shard, return_index=True)
    for own, start, stop in zip(found.tolist(), starts.tolist(), [*starts[1:].tolist(), len(table)], strict=True):
        yield own, table.slice(start, stop - start)


def _rows(table: pa.Table) -> int:
    """Number of rows of the sources; all examples of a row have the same `order`, and so are here."""
    if not column(table, "variant").any():
        return len(table)
    places = np.stack([column(table, name).astype(np.int64) for name in ("source", "part", "row")])
    return np.unique(places, axis=1).shape[1]
