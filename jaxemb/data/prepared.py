"""Training pairs and evaluation pools, opened from the cache that `prepare` wrote."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxemb.data.cache import StoredRecords
from jaxemb.data.pairs.records import Record, decode_record


class TrainingPairs:
    """The training pairs by position; ask for many at a time (`__getitems__`)."""

    def __init__(self, stored: StoredRecords[Record], rows: np.ndarray) -> None:
        self._stored = stored
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Record:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> list[Record]:
        """The records at these positions, in this order."""
        return self._stored.__getitems__(self._rows[np.asarray(indices, np.int64)].tolist())


class PreparedData:
    """The output of `prepare`, opened from its cache: data is read only on request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """The cache's folder; its name contains the fingerprint."""
        described = json.loads((path / "prepared.json").read_text())
        self.report: dict[str, Any] = described["report"]
        """Counts per language and reason, bad lines and sources, as for `data_report.json`."""
        self.languages: list[str] = described["languages"]
        """Languages of the pairs (the side that is not English), sorted."""
        self.language_of: np.ndarray = np.load(path / "language.npy", mmap_mode="r")
        """uint16 [train], index into `languages`."""
        self.english_sides: np.ndarray = np.load(path / "english.npy", mmap_mode="r")
        """uint8 [train], how many of anchor and positive are English: 0, 1 or 2."""
        self.hashes: np.ndarray = np.load(path / "hashes.npy", mmap_mode="r")
        """uint64 [train, 2 + K], stable hashes of the texts of the anchor, the positive and K hard negatives."""
        self.starts: np.ndarray | None = (
            np.load(path / "starts.npy", mmap_mode="r") if (path / "starts.npy").exists() else None
        )
        """int64 [rows], the first example of each row of a source, if some row has several examples: an epoch takes one
    of them. None if each row has one."""
        self.columns: dict[str, np.ndarray] = {
            name: np.load(path / f"{name}.npy", mmap_mode="r")
            for name in ("label", "score")
            if (path / f"{name}.npy").exists()
        }
        """int32 `label` and float32 `score` [train], if the examples have them."""
        self._stored = StoredRecords(path / "pairs.arrayrecord", decode_record)
        self.train = TrainingPairs(self._stored, np.load(path / "train.npy", mmap_mode="r"))
        """The training pairs."""

    @property
    def epoch(self) -> int:
        """Examples of an epoch: one of each row."""
        return len(self.train) if self.starts is None else len(self.starts)

    @functools.cached_property
    def heldout(self) -> dict[str, list[Record]]:
        """The evaluation pool of each language that has one; neither side occurs twice in a pool."""
        pools = json.loads((self.path / "heldout.json").read_text())
        return {language: self._stored.__getitems__(rows) for language, rows in pools.items()}


def rows_by_group(group_of: np.ndarray, groups: int) -> list[np.ndarray]:
    """The positions of each group, ascending: `group_of` is int [N], each in [0, groups).

    >>> [rows.tolist() for rows in rows_by_group(np.array([2, 0, 2]), 3)]
    [[1], [], [0, 2]]
    """
    borders = np.cumsum(np.bincount(group_of, minlength=groups))[:-1]
    return np.split(np.argsort(group_of, kind="stable"), borders)
