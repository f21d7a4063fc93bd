"""Counts of rows that add up over all machines."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from jaxemb.data.beam.tables import Groups, column
from jaxemb.data.gathering.corpus import DUPLICATE
from jaxemb.data.gathering.gather import content_hash

_FATES = 4


def _nothing() -> np.ndarray:
    return np.zeros(2, np.uint64)


@dataclasses.dataclass(frozen=True)
class Totals:
    """Counts that add up over all rows."""

    fates: np.ndarray
    """int64 [4, G], rows of each fate and group."""
    content: np.ndarray = dataclasses.field(default_factory=_nothing)
    """`content_hash` of the training examples."""
    variants: int = 0
    """Training examples that are not the first one of their row."""
    rows: int = 0
    """Rows of the sources that training examples are of."""
    largest_labels: Mapping[int, int] = dataclasses.field(default_factory=dict)
    """The largest label of the training examples of each source that has labels."""

    @classmethod
    def of_duplicates(cls, groups: Groups, group: np.ndarray) -> "Totals":
        """Of duplicates of these groups, int64 [rows]."""
        return cls.of_fates(groups, group, np.full(len(group), DUPLICATE))

    @classmethod
    def of_fates(cls, groups: Groups, group: np.ndarray, fates: np.ndarray) -> "Totals":
        """Of rows of these groups and fates, [rows] each."""
        both = fates.astype(np.int64) * len(groups) + group
        return cls(np.bincount(both, minlength=_FATES * len(groups)).reshape(_FATES, -1))

    @classmethod
    def of_training(cls, table: pa.Table) -> "Totals":
        """Of training examples, but for their fates and rows."""
        return cls(
            np.zeros((_FATES, 1), np.int64),
            content_hash(column(table, "pair"), column(table, "check")),
            variants=int(np.count_nonzero(column(table, "variant"))),
            largest_labels=_largest_labels(table),
        )

    @classmethod
    def of_rows(cls, rows: int) -> "Totals":
        """Of rows of the sources."""
        return cls(np.zeros((_FATES, 1), np.int64), rows=rows)

    @classmethod
    def sum(cls, parts: Iterable["Totals"]) -> "Totals":
        """The counts of all parts together."""
        parts = list(parts)
        labels: dict[int, int] = {}
        for part in parts:
            for source, label in part.largest_labels.items():
                labels[source] = max(label, labels.get(source, label))
        return cls(
            sum((part.fates for part in parts), np.zeros((_FATES, 1), np.int64)),
            sum((part.content for part in parts), _nothing()),
            sum(part.variants for part in parts),
            sum(part.rows for part in parts),
            labels,
        )


def _largest_labels(table: pa.Table) -> dict[int, int]:
    found = table.select(["source", "label"]).group_by("source").aggregate([("label", "max")]).to_pylist()
    return {row["source"]: row["label_max"] for row in found if row["label_max"] is not None}
