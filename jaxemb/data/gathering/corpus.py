"""All chunks of a preparation, and what becomes of each row."""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxemb.data.gathering.chunks import Chunk
from jaxemb.data.pairs.languages import pair_language

TRAIN, DUPLICATE, HELD_OUT, SIDE_HELD_OUT, NEAR_DUPLICATE = range(5)
"""Fates of a row: it is trained on, dropped as a duplicate, held out, dropped because its English side is held out, or
dropped because an earlier row is nearly the same."""


class Corpus:
    """The chunks, with one byte for each row on the disk that says its fate."""

    def __init__(self, chunks: Sequence[Chunk], folder: Path) -> None:
        """Opens the fates in a folder, to be read; creates them if they are not there, and every row is `TRAIN`.

        Args:
          chunks: of all sources, in any order.
          folder: of the fates.
        """
        self.chunks = list(chunks)
        self.fates: list[np.ndarray] = []
        """uint8 [rows] of each chunk."""
        for index, chunk in enumerate(chunks):
            path = folder / f"fates-{index:06d}.npy"
            new = not path.exists()
            if new:
                np.save(path, np.full(len(chunk), TRAIN, np.uint8))
            self.fates.append(np.load(path, mmap_mode="r+" if new else "r"))
        self.groups = sorted({(chunk.source, *pair) for chunk in chunks for pair in chunk.languages})
        """(source, anchor_lang, positive_lang) of all rows, sorted."""
        self.languages = sorted({pair_language(anchor, positive) for _, anchor, positive in self.groups})
        """The languages that pairs count for, sorted."""

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def group_of(self, index: int, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """int64 [rows], index into `groups`, of rows of a chunk."""
        chunk = self.chunks[index]
        numbers = {group: number for number, group in enumerate(self.groups)}
        own = np.array([numbers[chunk.source, *pair] for pair in chunk.languages], np.int64)
        return own[chunk.language_of[rows]]

    @functools.cached_property
    def language_of_group(self) -> np.ndarray:
        """int64 [groups], index into `languages`."""
        return np.array([self.languages.index(pair_language(a, b)) for _, a, b in self.groups], np.int64)

    def language_of(self, index: int, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """int64 [rows], index into `languages`, of rows of a chunk."""
        return self.language_of_group[self.group_of(index, rows)]

    def rows(self, index: int, fate: int = TRAIN) -> np.ndarray:
        """Positions of the rows of a chunk that have this fate."""
        return np.flatnonzero(self.fates[index] == fate)

    def count(self, fate: int) -> Counter[str]:
        """How many rows of each language have this fate."""
        counts: Counter[str] = Counter()
        for number, count in zip(self.language_of_group.tolist(), self.count_groups(fate).tolist(), strict=True):
            if count:
                counts[self.languages[number]] += count
        return counts

    def count_groups(self, fate: int) -> np.ndarray:
        """int64 [groups], how many rows of each group have this fate."""
        counts = np.zeros(len(self.groups), np.int64)
        for index in range(len(self.chunks)):
            counts += np.bincount(self.group_of(index, self.rows(index, fate)), minlength=len(counts))
        return counts
