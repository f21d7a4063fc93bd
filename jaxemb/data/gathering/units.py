"""Units of work: the files of a source, several small ones together, under a fingerprint of all that they depend on."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from jaxemb.config import DataConfig, Source
from jaxemb.data.cache import file_state, fingerprint
from jaxemb.data.gathering.rows import Row
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.report import FileTally, Report, Skipped
from jaxemb.data.sources import SourcePart, source_parts
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine

VERSION = 1
"""Counts up when the same files and settings would give other rows."""

UNIT_BYTES = 4 << 20
"""Files are put together up to this size; a larger one is a unit of its own."""


OF_TRAINING = {"weight", "anchor_prompt", "positive_prompt", "objective"}
"""Settings of sources that the rows do not depend on."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """Consecutive parts of one source."""

    source: int
    """Index of the source in `data.sources`."""
    first: int
    """Number of the first part."""
    stop: int
    """One more than the number of the last part."""
    bytes: int
    """Size of the files."""
    key: str
    """Fingerprint of files and settings: the folder of the unit's chunks is named after it."""


def units_of(config: DataConfig, excluded: Sequence[Any] = ()) -> list[Unit]:
    """The units of all sources, in order.

    Args:
      config: sources, filters and root are used.
      excluded: the files of `data.exclude`.

    Raises:
      UserError: if a file is missing.
    """
    settings = config.model_dump(mode="json", include={"filters", "exclude_ngrams"})
    out = [file_state(path) for path in excluded]
    parts_of.cache_clear()  # files may have been added since
    units = []
    for index, source in enumerate(config.sources):
        parts = parts_of(source, config.root)
        about = source.model_dump(mode="json", exclude=OF_TRAINING)
        for first, stop, states in _grouped(parts):
            names = [(part.name, part.source) for part in parts[first:stop]]
            key = fingerprint(VERSION, settings, out, about, first, names, states)
            units.append(Unit(index, first, stop, sum(state[1] for state in states), key))
    return units


@functools.lru_cache(maxsize=64)
def parts_of(source: Source, root: str | None) -> tuple[SourcePart, ...]:
    """The parts of a source; a process finds them once for each call of `units_of`."""
    return tuple(source_parts(source, root))


def _grouped(parts: Sequence[SourcePart]) -> Iterator[tuple[int, int, list[tuple[str, int, int | str]]]]:
    """Ranges of parts and the states of their files."""
    first, size = 0, 0
    states: list[tuple[str, int, int | str]] = []
    for index, part in enumerate(parts):
        own = [file_state(path) for path in part.paths]
        if index > first and size + sum(state[1] for state in own) > UNIT_BYTES:
            yield first, index, states
            first, size, states = index, 0, []
        states = states + own
        size += sum(state[1] for state in own)
    if parts:
        yield first, len(parts), states


def read_unit(unit: Unit, config: DataConfig, report: Report) -> Iterator[list[Row]]:
    """Yields the examples of each row of a unit: one, or several of a row that has alternatives.

    What is no row is counted in the report: bad lines, and what the source leaves out.

    Raises:
      UserError: if a file cannot be read, has too many bad lines, or changes meanwhile.
    """
    parts = parts_of(config.sources[unit.source], config.root)
    for number in range(unit.first, unit.stop):
        part, row = parts[number], 0
        before = [file_state(path) for path in part.paths]
        tally = FileTally(part.name)
        report.begin_file(part.source, part.licence)
        for item in part.read():
            match item:
                case BadLine():
                    tally.add_bad(item)
                    continue
                case Skipped():
                    tally.lines += 1
                    report.read[item.language] += 1
                    report.drop(item.language, item.reason, record=item.record)
                    continue
            tally.lines += 1
            row += 1
            records = item.records if isinstance(item, Alternatives) else (item,)
            yield [Row(number, row, variant, record) for variant, record in enumerate(records)]
        report.finish_file(tally, config.filters.max_bad_line_share)
        if [file_state(path, now=True) for path in part.paths] != before:
            raise UserError(f"{part.name}: the file changed while it was read; run the command again")
