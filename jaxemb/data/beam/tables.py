"""Rows on their way from step to step, perhaps to another machine: parts of tables as bytes, by range of hashes."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from jaxemb.data.cache import in_chunks
from jaxemb.data.gathering.rows import SCHEMA
from jaxemb.data.pairs.languages import pair_language

_PACKED_ROWS = 1 << 14
"""Most rows of one element of a collection: runners refuse elements of many megabytes."""


def _schema(*names: str) -> pa.Schema:
    of = {field.name: field.type for field in SCHEMA} | {"source": pa.int32(), "index": pa.int64()}
    plain = {name: kind.value_type if pa.types.is_dictionary(kind) else kind for name, kind in of.items()}
    return pa.schema([(name, plain[name]) for name in names])


_PLACE = ("source", "part", "row", "variant", "languages")
ROWS = _schema("source", *SCHEMA.names)
"""Cleaned rows: `SCHEMA`, the index of the source, and languages as plain text."""
KEYS = _schema(*_PLACE, "english", "target", "words")
"""What the choice of the held-out set looks at."""
EXAMPLES = _schema(
    *(*_PLACE, "order", "anchor", "positive", "negatives", "label", "score"),
    *("anchor_hash", "positive_hash", "negative_hashes"),
)
"""What a training example is made of."""
PLACED = EXAMPLES.append(pa.field("index", pa.int64()))
"""Training examples, each with its position in its lane."""


def packed(table: pa.Table, schema: pa.Schema) -> Iterator[bytes]:
    """The columns of a schema as bytes, some thousand rows at a time; nothing for an empty table."""
    table = table.select(schema.names).cast(schema)
    for rows in in_chunks(len(table), _PACKED_ROWS):
        [batch] = table.slice(rows.start, len(rows)).combine_chunks().to_batches()
        yield batch.serialize().to_pybytes()


def unpacked(parts: Iterable[bytes], schema: pa.Schema) -> pa.Table:
    """The table whose parts were packed with this schema."""
    batches = [pa.ipc.read_record_batch(pa.py_buffer(part), schema) for part in parts]
    return pa.Table.from_batches(batches, schema).combine_chunks()


def column(table: pa.Table, name: str) -> np.ndarray:
    """A column of numbers without gaps."""
    return table[name].to_numpy()


def by_range(table: pa.Table, hashes: str, ranges: int) -> Iterator[tuple[int, pa.Table]]:
    """The rows by range of a column of uint64 hashes, of which the first `log2(ranges)` bits say the range.

    Args:
      table: its order stays the same within a range.
      hashes: name of the column.
      ranges: a power of two, at least 2.
    """
    number = (column(table, hashes) >> np.uint64(65 - ranges.bit_length())).astype(np.int64)
    ranked = np.argsort(number, kind="stable")
    table = table.take(pa.array(ranked))
    found, starts = np.unique(number[ranked], return_index=True)
    stops = [*starts[1:].tolist(), len(table)]
    for own, start, stop in zip(found.tolist(), starts.tolist(), stops, strict=True):
        yield own, table.slice(start, stop - start)


@dataclasses.dataclass(frozen=True)
class Groups:
    """All groups of rows: sources and pairs of languages."""

    groups: tuple[tuple[int, str, str], ...]
    """(source, anchor_lang, positive_lang), sorted."""
    texts: tuple[tuple[int, int], ...]
    """Index and number of texts of an example of each source that has any."""

    def __len__(self) -> int:
        return len(self.groups)

    @classmethod
    def of(cls, found: Iterable[tuple[int, str]], texts: Mapping[int, int]) -> "Groups":
        """The groups of these sources and `languages` of rows.

        Args:
          found: index of the source, languages.
          texts: number of texts of an example of each source.
        """
        groups = sorted((source, *_two(languages)) for source, languages in set(found))
        return cls(tuple(groups), tuple(sorted(texts.items())))

    @functools.cached_property
    def languages(self) -> list[str]:
        """The languages that pairs count for, sorted."""
        return sorted({pair_language(anchor, positive) for _, anchor, positive in self.groups})

    @functools.cached_property
    def language_of_group(self) -> np.ndarray:
        """int64 [groups], index into `languages`."""
        return np.array([self.languages.index(pair_language(a, b)) for _, a, b in self.groups], np.int64)

    def group_of(self, table: pa.Table) -> np.ndarray:
        """int64 [rows], index into `groups`."""
        numbers = {group: number for number, group in enumerate(self.groups)}
        encoded = table["languages"].combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        names: Sequence[str] = encoded.dictionary.to_pylist()
        sources, source_of = np.unique(column(table, "source"), return_inverse=True)
        known = np.array(
            [[numbers.get((source, *_two(name)), -1) for name in names] for source in sources.tolist()], np.int64
        ).reshape(len(sources), len(names))
        return known[source_of, encoded.indices.to_numpy()]

    def language_of(self, table: pa.Table) -> np.ndarray:
        """int64 [rows], index into `languages`."""
        return self.language_of_group[self.group_of(table)]


def _two(languages: str) -> tuple[str, str]:
    anchor, positive = languages.split(" ")
    return anchor, positive
