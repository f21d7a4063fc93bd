"""The first step: reads a unit of work, cleans its rows, and tells what was read and dropped."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from jaxemb.config import DataConfig
from jaxemb.data.beam.tables import Groups
from jaxemb.data.gathering.cleaning import exclusion_of
from jaxemb.data.gathering.gather import other_negatives
from jaxemb.data.gathering.rows import Row, clean_rows
from jaxemb.data.gathering.units import Unit, read_unit
from jaxemb.data.pairs.report import Report

_BLOCK_ROWS = 1 << 16
"""Rows that are cleaned at a time."""


@dataclasses.dataclass(frozen=True)
class UnitFacts:
    """What a unit has in all."""

    number: int
    """Position of the unit among all."""
    source: int
    report: str
    """`Report.state` as JSON."""
    languages: tuple[str, ...]
    """Those of the rows."""
    negatives: tuple[tuple[int, str], ...]
    """Hard negatives of an example, and an example's id, for each block of rows."""


def clean_unit(number: int, unit: Unit, config: DataConfig) -> Iterator[pa.Table | UnitFacts]:
    """Yields the cleaned rows of a unit in blocks, with `SCHEMA` and the index of the source, and at last the facts.

    Raises:
      UserError: as `read_unit` and `clean_rows`.
    """
    whole, parts = Report(), []
    languages: set[str] = set()
    negatives = []
    for rows in _blocks(read_unit(unit, config, whole)):
        report = Report()
        exclusion = exclusion_of(config.exclude, config.root, config.exclude_ngrams)
        table = clean_rows(rows, config.filters, report, exclusion)
        parts.append(report)
        if len(table):
            languages.update(table["languages"].unique().to_pylist())
            negatives.append((len(table["negatives"][0]), table["id"][0].as_py()))
            source = pa.array([unit.source], pa.int32()).take(pa.array([0] * len(table)))
            yield table.append_column("source", source)
    for report in parts:
        whole.add(report)
    state = json.dumps(whole.state(), ensure_ascii=False)
    yield UnitFacts(number, unit.source, state, tuple(sorted(languages)), tuple(negatives))


def _blocks(rows: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """Rows in blocks; the examples of a row stay together."""
    while block := list(itertools.chain.from_iterable(itertools.islice(rows, _BLOCK_ROWS))):
        yield block


def groups_of(facts: Iterable[UnitFacts]) -> Groups:
    """The groups of the rows of all units.

    Raises:
      UserError: if a source has rows with different numbers of hard negatives.
    """
    facts = sorted(facts, key=lambda unit: unit.number)
    negatives: dict[int, int] = {}
    for unit in facts:
        for count, name in unit.negatives:
            if negatives.setdefault(unit.source, count) != count:
                raise other_negatives(name, count, negatives[unit.source])
    texts = {source: 2 + count for source, count in negatives.items()}
    return Groups.of(((unit.source, name) for unit in facts for name in unit.languages), texts)


def report_of(facts: Sequence[UnitFacts]) -> Report:
    """The report of all units, in their order."""
    whole = Report()
    for unit in sorted(facts, key=lambda unit: unit.number):
        whole.add(Report.of_state(json.loads(unit.report)))
    return whole
