import itertools

import numpy as np

from data.gathering.conftest import NO_FILTER, some_rows
from jaxemb.data.gathering.chunks import Chunk, read_about, write_chunk
from jaxemb.data.gathering.rows import clean_rows
from jaxemb.data.pairs.report import Report


def test_a_chunk_is_sorted_and_read_without_copies(tmp_path):
    table = clean_rows(some_rows(1, 80, variants=3), NO_FILTER, Report())
    path = tmp_path / "a.arrow"
    assert read_about(path) is None
    write_chunk(path, table, {"rows": len(table)})
    assert read_about(path) == {"rows": 240}
    chunk = Chunk(path, 4)
    assert len(chunk) == 240
    wanted = sorted(table.to_pylist(), key=lambda row: row["order"])  # stable
    assert chunk.table.to_pylist() == wanted
    assert chunk.column("row").tolist() == [row["row"] for row in wanted]
    assert [" ".join(chunk.languages[index]) for index in chunk.language_of] == [row["languages"] for row in wanted]
    assert not chunk.is_sorted_by_pair
    borders = [0, *(int(order) for order in np.quantile(chunk.column("order"), [0.2, 0.7])), 1 << 64]
    parts = [chunk.between(low, high) for low, high in itertools.pairwise(borders)]
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == 240
    assert all(chunk.column("order")[part].max() < high for part, high in zip(parts, borders[1:], strict=True))
    assert chunk.largest_label(np.arange(240)) is None


def test_a_chunk_of_nothing(tmp_path):
    write_chunk(tmp_path / "a.arrow", clean_rows([], NO_FILTER, Report()), {})
    chunk = Chunk(tmp_path / "a.arrow", 0)
    assert len(chunk) == len(chunk.column("order")) == len(chunk.language_of) == 0
    assert chunk.between(0, 1 << 64) == slice(0, 0)


def test_an_unfinished_chunk_is_not_whole(tmp_path):
    path = tmp_path / "a.arrow"
    write_chunk(path, clean_rows(some_rows(0, 5), NO_FILTER, Report()), {})
    path.with_suffix(".json").unlink()
    assert read_about(path) is None
