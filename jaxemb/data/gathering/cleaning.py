"""Reads units of work, cleans their rows and writes them as chunks, in several processes."""

import concurrent.futures
import dataclasses
import functools
import json
import operator
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxemb.config import DataConfig, NgramOverlap
from jaxemb.data.cache import file_state
from jaxemb.data.gathering.chunks import Chunk, read_about, write_chunk
from jaxemb.data.gathering.processes import processes
from jaxemb.data.gathering.rows import Row, clean_rows
from jaxemb.data.gathering.units import Unit, read_unit
from jaxemb.data.pairs.exclude import Exclusion, excluded_files
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report
from jaxemb.files import remove_partial, write_atomically

_fields = operator.attrgetter(*(field.name for field in dataclasses.fields(Record)))

CHUNK_ROWS = 1 << 17
"""Examples of a chunk; the last one of a unit has fewer, and a row with several examples may make it larger."""
SMALL = 16 << 20
"""Sources of fewer bytes are read in this process: another one takes a second to start."""


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """The chunks of all units."""

    chunks: list[Chunk]
    """In the order of the sources, their parts and rows."""
    report: Report


def clean_units(units: Sequence[Unit], config: DataConfig, folder: Path, workers: int) -> Cleaned:
    """Cleans all units; those that are in the folder already are not read again.

    Args:
      units: of all sources.
      config: sources, filters, exclude, root.
      folder: of the chunks; every unit has a folder of its own there.
      workers: number of processes.

    Raises:
      UserError: as `read_unit`.
    """
    missing = [unit for unit in units if _finished(unit, folder) is None]
    if workers > 1 and sum(unit.bytes for unit in missing) > SMALL:
        _clean_in_processes(missing, config, folder, workers)
    else:
        for unit in missing:
            _clean_unit(unit, config, folder)
    report, chunks = Report(), []
    for unit in units:
        done = _finished(unit, folder)
        assert done is not None
        report.add(Report.of_state(done["report"]))
        chunks += [Chunk(_chunk_path(unit, folder, number), unit.source) for number in range(done["chunks"])]
    return Cleaned([chunk for chunk in chunks if len(chunk)], report)


def _clean_in_processes(units: Sequence[Unit], config: DataConfig, folder: Path, workers: int) -> None:
    """Cleans small units whole, one in each process. This process reads large ones, whose rows the others clean."""
    share = sum(unit.bytes for unit in units) / workers
    large = [unit for unit in units if unit.bytes > share]
    with processes(workers) as pool:
        tasks = [pool.submit(_clean_unit, unit, config, folder) for unit in units if unit not in large]
        for unit in large:
            _clean_unit(unit, config, folder, pool)
        for task in concurrent.futures.as_completed(tasks):
            task.result()


def _clean_unit(unit: Unit, config: DataConfig, folder: Path, pool: concurrent.futures.Executor | None = None) -> None:
    """Writes the chunks of a unit, and at the end what it has in all."""
    (folder / unit.key).mkdir(parents=True, exist_ok=True)
    remove_partial(folder / unit.key, days=7.0)  # of processes that were killed
    report = Report()
    waiting: list[concurrent.futures.Future[None]] = []
    number = -1
    for number, rows in enumerate(_blocks(read_unit(unit, config, report))):
        path = _chunk_path(unit, folder, number)
        if read_about(path) is not None:
            continue
        if pool is None:
            _clean_chunk(rows, config, path)
            continue
        waiting.append(pool.submit(_clean_packed, _packed(rows), config, path))
        if len(waiting) > 2 * (os.cpu_count() or 1):  # bounds the memory for rows that wait
            waiting.pop(0).result()
    for task in waiting:
        task.result()
    for index in range(number + 1):
        about = read_about(_chunk_path(unit, folder, index))
        assert about is not None
        report.add(Report.of_state(about["report"]))
    done = {"chunks": number + 1, "report": report.state()}
    write_atomically(folder / unit.key / "unit.json", json.dumps(done, ensure_ascii=False))


def _blocks(rows: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """Rows in blocks for a chunk each."""
    block: list[Row] = []
    for examples in rows:
        block += examples
        if len(block) >= CHUNK_ROWS:
            yield block
            block = []
    if block:
        yield block


def _clean_chunk(rows: Sequence[Row], config: DataConfig, path: Path) -> None:
    report = Report()
    table = clean_rows(rows, config.filters, report, exclusion_of(config.exclude, config.root, config.exclude_ngrams))
    write_chunk(path, table, {"report": report.state(), "rows": len(table)})


def _packed(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """The rows as plain tuples, which another process receives four times as fast."""
    return [(row.part, row.row, row.variant, *_fields(row.record)) for row in rows]


def _clean_packed(rows: Sequence[tuple[Any, ...]], config: DataConfig, path: Path) -> None:
    unpacked = [Row(part, row, variant, Record(*fields)) for part, row, variant, *fields in rows]
    _clean_chunk(unpacked, config, path)


def exclusion_of(patterns: tuple[str, ...], root: str | None, overlap: NgramOverlap | None) -> Exclusion:
    """The sentences of `data.exclude`; each process reads a version of the files once."""
    states = tuple(file_state(path) for path in excluded_files(patterns, root))
    return _exclusion(patterns, root, states, overlap)


@functools.lru_cache(maxsize=2)
def _exclusion(
    patterns: tuple[str, ...],
    root: str | None,
    states: tuple[tuple[str, int, int | str], ...],
    overlap: NgramOverlap | None,
) -> Exclusion:
    del states  # part of the cache's key
    return Exclusion(excluded_files(patterns, root), overlap)


def _chunk_path(unit: Unit, folder: Path, number: int) -> Path:
    return folder / unit.key / f"chunk-{number:05d}.arrow"


def _finished(unit: Unit, folder: Path) -> dict[str, Any] | None:
    """What a unit has in all; None if it is not finished."""
    try:
        done: dict[str, Any] = json.loads((folder / unit.key / "unit.json").read_text())
    except FileNotFoundError:
        return None
    there = all(read_about(_chunk_path(unit, folder, number)) is not None for number in range(done["chunks"]))
    return done if there else None
