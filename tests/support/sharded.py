"""Stands in for shards: rows in lanes, sorted by group, whose texts are made when they are asked for."""

import dataclasses

import numpy as np

from jaxemb.data.order.layout import stored_layout


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    ids: tuple
    hashes: np.ndarray
    label: int | None
    score: float | None


class FakeShards:
    """Text t of row r has (7919 r + 104729 t) mod `longest` + 1 tokens, from r on; `texts` of each group's source."""

    def __init__(self, groups, counts, texts=2, longest=40):
        self.groups, self.counts = [tuple(group) for group in groups], np.asarray(counts, np.int64)
        self.lane_ends = np.cumsum(self.counts.sum(axis=1))
        self.group_ends = np.cumsum(self.counts.reshape(-1))
        self.texts, self.longest = texts, longest
        self.read = []
        """Rows whose texts were asked for."""

    def layout(self, block=None, starts=None):
        return stored_layout(self.groups, self.counts, block, starts)

    def lane_of(self, rows):
        return np.searchsorted(self.lane_ends, rows, side="right")

    def group_of(self, rows):
        return np.searchsorted(self.group_ends, rows, side="right") % len(self.groups)

    def lengths(self, rows):
        rows = np.asarray(rows)[:, None]
        return ((rows * 7919 + np.arange(self.texts) * 104729) % self.longest + 1).astype(np.uint16)

    def examples(self, rows):
        self.read += rows.tolist()
        return [
            Example(
                tuple(np.arange(row, row + length, dtype=np.int32) % 30_000 + 10 for length in lengths),
                np.arange(self.texts, dtype=np.uint64) + np.uint64(row << 32),
                row % 3,
                row / 8,
            )
            for row, lengths in zip(rows.tolist(), self.lengths(rows).tolist(), strict=True)
        ]


def fake_shards(lanes=4, sizes=(300, 40, 7), seed=0, **more):
    """Groups of one source, English with another language each, whose rows are in random lanes."""
    draw = np.random.default_rng(seed)
    counts = np.stack([draw.multinomial(size, np.full(lanes, 1 / lanes)) for size in sizes], axis=1)
    return FakeShards(
        [(0, "en", language) for language in ("de", "fr", "sw", "ja", "th")[: len(sizes)]], counts, **more
    )
