"""Chunks: files of cleaned rows on the local disk, sorted by `order`, and read as memory maps."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxemb.data.gathering.rows import SCHEMA
from jaxemb.data.pairs.records import Record
from jaxemb.files import atomic_file, write_atomically


def write_chunk(path: Path, table: pa.Table, about: dict[str, Any]) -> None:
    """Sorts a table of `clean_rows` by `order` and writes it, with a JSON file about it beside it.

    The JSON file is written last: a chunk that has one is whole.

    Args:
      path: ends in `.arrow`.
      table: equal orders stay in the table's order.
      about: what the JSON file says.
    """
    order = np.argsort(table["order"].to_numpy(), kind="stable")
    with atomic_file(path) as partial:
        # The dictionary of languages must be one for the whole file.
        batch = table.take(pa.array(order)).combine_chunks().unify_dictionaries()
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(batch, max_chunksize=max(1, len(batch)))
    write_atomically(path.with_suffix(".json"), json.dumps(about, ensure_ascii=False))


def read_about(path: Path) -> dict[str, Any] | None:
    """What the JSON file of a chunk says; None if the chunk is not whole."""
    try:
        about: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    except FileNotFoundError:
        return None
    return about if path.is_file() else None


class Chunk:
    """A chunk, opened as a memory map: only what is looked at is read."""

    def __init__(self, path: Path, source: int) -> None:
        self.path = path
        self.source = source
        """Index of the source in `data.sources`."""

    def __len__(self) -> int:
        return len(self.table)

    @functools.cached_property
    def table(self) -> pa.Table:
        """All rows, with `SCHEMA`."""
        with pa.memory_map(str(self.path)) as file:
            return pa.ipc.open_file(file).read_all()

    def column(self, name: str) -> np.ndarray:
        """A column of numbers without gaps, not copied."""
        column = self.table[name]
        if not column.num_chunks:
            return np.zeros(0, column.type.to_pandas_dtype())
        return column.chunk(0).to_numpy(zero_copy_only=True)

    @functools.cached_property
    def languages(self) -> list[tuple[str, str]]:
        """The pairs of languages (anchor, positive) of this chunk."""
        column = self.table["languages"]
        names = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
        return [(anchor, positive) for anchor, positive in (name.split(" ") for name in names)]

    @functools.cached_property
    def language_of(self) -> np.ndarray:
        """int32 [rows], index into `languages`."""
        column = self.table["languages"]
        return column.chunk(0).indices.to_numpy() if column.num_chunks else np.zeros(0, np.int32)

    @functools.cached_property
    def negatives(self) -> int:
        """Hard negatives of each example."""
        return len(self.table["negatives"][0]) if len(self) else 0

    @functools.cached_property
    def is_sorted_by_pair(self) -> bool:
        """Whether `pair` is `order`: no row has several examples."""
        return not self.column("variant").any()

    def largest_label(self, rows: np.ndarray) -> int | None:
        """The largest label of these rows; None if they have none."""
        largest = pc.max(self.table["label"].take(rows)).as_py() if len(rows) else None
        return None if largest is None else int(largest)

    def records(self, rows: Sequence[int] | np.ndarray) -> list[Record]:
        """These rows as records; `source` is left empty."""
        return [record_of(values) for values in self.table.take(rows).to_pylist()]

    def between(self, low: int, high: int) -> slice:
        """The rows whose `order` is at least `low` and less than `high` (up to 2**64)."""
        order = self.column("order")
        first = int(np.searchsorted(order, np.uint64(low)))
        last = len(order) if high >= 1 << 64 else int(np.searchsorted(order, np.uint64(high)))
        return slice(first, last)


def record_of(values: Mapping[str, Any]) -> Record:
    """A row of a chunk as a record; `source` is left empty."""
    anchor_lang, positive_lang = values["languages"].split(" ")
    return Record(
        values["anchor"],
        values["positive"],
        tuple(values["negatives"]),
        values["label"],
        values["score"],
        anchor_lang=anchor_lang,
        positive_lang=positive_lang,
        id=values["id"],
    )
