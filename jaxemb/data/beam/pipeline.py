"""The Apache Beam pipeline: the steps on tables, and what goes from one to the next.

Rows travel in tables of some thousand (`tables`), keyed by range of hashes: many rows share a runner's work for an
element. All rows are grouped three times: by `pair`, where duplicates meet; by `order`, where each example finds its
position; by shard. Side inputs are small: they grow with languages, groups, ranges and shards, not with rows.

The sink of array_record (`array_record.beam`) and `tfds.core.BeamBasedBuilder` cannot write these shards. With the
first, the runner decides which record is in which shard, and in which order; the second sorts by a hash of its own.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jaxemb.config import DataConfig, HoldoutConfig
from jaxemb.data.beam import choosing, placing, reading, shards
from jaxemb.data.beam.choosing import Choice, Sample, Sketch
from jaxemb.data.beam.outcome import Outcome
from jaxemb.data.beam.placing import Places
from jaxemb.data.beam.reading import UnitFacts
from jaxemb.data.beam.shards import Target, WrittenShard
from jaxemb.data.beam.tables import EXAMPLES, KEYS, PLACED, ROWS, Groups, by_range, packed, unpacked
from jaxemb.data.beam.totals import Totals
from jaxemb.data.gathering.chunks import record_of
from jaxemb.data.gathering.corpus import TRAIN
from jaxemb.data.gathering.gather import sources_of_pairs
from jaxemb.data.gathering.units import Unit
from jaxemb.data.shards.places import place_of

if TYPE_CHECKING:
    import apache_beam as beam

LEAST_RANGES = 64
MOST_RANGES = 1 << 14
"""Ranges of hashes that rows are grouped by. Each lane is one or more of them."""
RANGE_BYTES = 4 << 20
"""A range has about so many bytes of the sources' files."""
OUTCOME = "beam-outcome.json"
"""`Outcome`, beside the shards."""

_CLEAN, _FIRST = ("facts",), ("totals", "sketch", "keys")
_DIVIDE, _PLACE = ("totals", "counts", "heldout"), ("totals", "starts")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the pipeline does."""

    config: DataConfig
    seed: int
    units: tuple[Unit, ...]
    target: Target

    @property
    def ranges(self) -> int:
        """Number of ranges, a power of two."""
        wanted = sum(unit.bytes for unit in self.units) // RANGE_BYTES
        return min(MOST_RANGES, max(LEAST_RANGES, 1 << wanted.bit_length()))


def build(root: "beam.Pipeline", plan: Plan) -> None:
    """Adds all steps to a pipeline. The last one writes `OUTCOME` beside the shards."""
    import apache_beam as beam
    from apache_beam.pvalue import AsList, AsSingleton

    holdout, ranges, seed = plan.config.holdout, plan.ranges, plan.seed
    cleaned = (
        root
        | "Units" >> beam.Create(list(enumerate(plan.units)))
        | "Spread" >> beam.Reshuffle()
        | "Clean" >> beam.FlatMap(_clean, plan.config, ranges).with_outputs(*_CLEAN, main="rows")
    )
    units = AsList(cleaned.facts)
    groups = AsSingleton(root | "One" >> beam.Create([None]) | "Groups" >> beam.Map(_groups, units))
    first = (
        cleaned.rows
        | "By pair" >> beam.GroupByKey()
        | "First" >> beam.FlatMap(_first, groups, plan.config, seed).with_outputs(*_FIRST, main="rows")
    )
    merged = functools.partial(choosing.merged, config=holdout)
    sketch = first.sketch | "Sketch" >> beam.CombineGlobally(merged)
    sample = AsSingleton(sketch | "Sample" >> beam.Map(_sample, holdout))
    choice = (
        first.keys
        | "In the sample" >> beam.FlatMap(_in_sample, sample)
        | "All" >> beam.WithKeys(0)
        | "Together" >> beam.GroupByKey()
        | "Choose" >> beam.Map(_choose, sample, groups, holdout, seed)
    )
    divided = first.rows | "Divide" >> beam.FlatMap(_divide, groups, AsList(choice), ranges).with_outputs(
        *_DIVIDE, main="rows"
    )
    counts = AsList(divided.counts | "Counts" >> beam.CombinePerKey(_sum))
    places = AsSingleton(root | "Two" >> beam.Create([ranges]) | "Places" >> beam.Map(_places, counts, groups))
    totals = divided.totals | "Divided" >> beam.CombineGlobally(_total)
    placed = (
        divided.rows
        | "By order" >> beam.GroupByKey()
        | "Place" >> beam.FlatMap(_place, groups, places, AsSingleton(totals)).with_outputs(*_PLACE, main="rows")
    )
    written = placed.rows | "By shard" >> beam.GroupByKey() | "Write" >> beam.Map(_write, plan.target, groups)
    every = (first.totals, totals, placed.totals) | beam.Flatten() | "Totals" >> beam.CombineGlobally(_total)
    lists = (AsList(divided.heldout), AsList(placed.starts), AsList(written))
    found = (groups, places, AsSingleton(every), units, *lists)
    _ = root | "Three" >> beam.Create([plan.target]) | "Save" >> beam.Map(_save, *found)


def _tagged(tag: str, value: Any) -> Any:
    from apache_beam.pvalue import TaggedOutput

    return TaggedOutput(tag, value)


def _clean(numbered: tuple[int, Unit], config: DataConfig, ranges: int) -> Iterator[Any]:
    for found in reading.clean_unit(*numbered, config):
        if isinstance(found, UnitFacts):
            yield _tagged("facts", found)
        else:
            for number, table in by_range(found, "pair", ranges):
                yield from ((number, part) for part in packed(table, ROWS))


def _groups(_: None, facts: Sequence[UnitFacts]) -> Groups:
    return reading.groups_of(facts)


def _first(keyed: tuple[int, Iterable[bytes]], groups: Groups, config: DataConfig, seed: int) -> Iterator[Any]:
    table = unpacked(keyed[1], ROWS)
    repeated = choosing.duplicates(table)
    yield _tagged("totals", Totals.of_duplicates(groups, groups.group_of(table)[repeated]))
    table = table.filter(pa.array(~repeated))
    if config.holdout.pairs_per_language:
        pairs = choosing.of_sources(table, sources_of_pairs(config))
        yield _tagged("sketch", choosing.sketch_of(pairs, groups, config.holdout, seed))
        yield from (_tagged("keys", part) for part in packed(pairs, KEYS))
    yield from packed(table, ROWS)


def _sample(sketch: Sketch, holdout: HoldoutConfig) -> Sample:
    return sketch.sample(holdout)


def _in_sample(part: bytes, sample: Sample) -> Iterator[bytes]:
    yield from packed(sample.rows_of(unpacked([part], KEYS)), KEYS)


def _choose(
    keyed: tuple[int, Iterable[bytes]], sample: Sample, groups: Groups, holdout: HoldoutConfig, seed: int
) -> Choice:
    return choosing.choose(keyed[1], sample, groups, holdout, seed)


def _divide(part: bytes, groups: Groups, choice: Sequence[Choice], ranges: int) -> Iterator[Any]:
    table = unpacked([part], ROWS)
    fates, held = choosing.fates_of(table, choice[0] if choice else choosing.NOTHING_CHOSEN)
    yield _tagged("totals", Totals.of_fates(groups, groups.group_of(table), fates))
    for rank, position in held:
        yield _tagged("heldout", (rank, record_of(table.slice(position, 1).to_pylist()[0])))
    table = table.filter(pa.array(fates == TRAIN))
    yield _tagged("totals", Totals.of_training(table))
    for number, own in by_range(table, "order", ranges):
        yield _tagged("counts", (number, np.bincount(groups.group_of(own), minlength=len(groups))))
        yield from ((number, each) for each in packed(own, EXAMPLES))


def _total(parts: Iterable[Totals]) -> Totals:
    return Totals.sum(parts)


def _sum(counts: Iterable[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.add, counts, np.zeros(1, np.int64))


def _places(ranges: int, counts: Sequence[tuple[int, np.ndarray]], groups: Groups) -> Places:
    return Places.of(counts, ranges, groups)


def _place(keyed: tuple[int, Iterable[bytes]], groups: Groups, places: Places, totals: Totals) -> Iterator[Any]:
    number, parts = keyed
    found = placing.place(number, unpacked(parts, EXAMPLES), places, groups)
    yield _tagged("totals", Totals.of_rows(found.rows))
    if totals.variants:
        yield _tagged("starts", found.starts)
    for shard, table in found.shards:
        yield from ((shard, part) for part in packed(table, PLACED))


def _write(keyed: tuple[int, Iterable[bytes]], target: Target, groups: Groups) -> WrittenShard:
    return shards.write(*keyed, target, groups)


def _save(target: Target, *found: Any) -> None:
    place_of(target.output).write(OUTCOME, Outcome(*found).to_json())
