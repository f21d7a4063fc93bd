"""What becomes of each row: dropped as a duplicate, held out, or trained on; computed range by range of hashes."""

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jaxemb.config import HoldoutConfig
from jaxemb.data.beam.tables import KEYS, Groups, column, unpacked
from jaxemb.data.gathering.corpus import HELD_OUT, SIDE_HELD_OUT, TRAIN
from jaxemb.data.gathering.duplicates import are_duplicates
from jaxemb.data.gathering.heldout import (
    among,
    distinct_sides,
    sample_size,
    sampled_sides,
    smallest_hashes,
    smallest_sides,
)
from jaxemb.data.pairs.holdout import PairKeys, Population, choose_heldout, mix

_PLACE = ("source", "part", "row", "variant")


def duplicates(table: pa.Table) -> np.ndarray:
    """Which rows are equal to one of an earlier place: bool [rows]. The table has all rows of a range of `pair`."""
    return are_duplicates(column(table, "pair"), column(table, "check"), [column(table, name) for name in _PLACE])


@dataclasses.dataclass(frozen=True)
class Sketch:
    """What the size of the held-out set is computed from; it does not grow with the number of rows."""

    pairs: np.ndarray
    """int64 [languages], number of pairs."""
    smallest: np.ndarray
    """The smallest hashes of English sides (`smallest_hashes`)."""
    sampled: Mapping[int, np.ndarray]
    """`sampled_sides` of each language."""

    def sample(self, config: HoldoutConfig) -> "Sample":
        """The English sides to look at."""
        if self.pairs.max(initial=0) <= sample_size(config):
            return Sample(None, None)
        sides = np.unique(np.concatenate([sides[:, 1] for sides in self.sampled.values()]))
        return Sample(Population(distinct_sides(self.smallest), self.pairs), sides)


@dataclasses.dataclass(frozen=True)
class Sample:
    """The English sides that may be held out, and how many pairs and sides there are; None if all are looked at."""

    population: Population | None
    sides: np.ndarray | None
    """Sorted hashes."""

    def rows_of(self, table: pa.Table) -> pa.Table:
        """The rows with these English sides."""
        return table if self.sides is None else table.filter(pa.array(among(column(table, "english"), self.sides)))


def of_sources(table: pa.Table, sources: Collection[int]) -> pa.Table:
    """The rows of these sources."""
    return table.filter(pc.is_in(table["source"], pa.array(sorted(sources), pa.int32())))


def sketch_of(table: pa.Table, groups: Groups, config: HoldoutConfig, seed: int) -> Sketch:
    """The sketch of rows that are no duplicates, of sources that pairs are held out of."""
    language, english = groups.language_of(table), column(table, "english")
    allowed = (column(table, "words") >= config.min_words) & (english != column(table, "target"))
    sampled = {
        int(own): sampled_sides(english[allowed & (language == own)], config, seed)
        for own in np.unique(language[allowed])
    }
    pairs = np.bincount(language, minlength=len(groups.languages))
    return Sketch(pairs, smallest_hashes(mix(english, seed)), sampled)


def merged(sketches: Iterable[Sketch], config: HoldoutConfig) -> Sketch:
    """The sketch of the rows of all of these."""
    sketches = list(sketches)
    languages = set().union(*(sketch.sampled for sketch in sketches))
    return Sketch(
        sum((sketch.pairs for sketch in sketches), np.zeros(1, np.int64)),
        smallest_hashes(np.zeros(0, np.uint64), *(sketch.smallest for sketch in sketches)),
        {
            language: smallest_sides(config, *(each.sampled[language] for each in sketches if language in each.sampled))
            for language in languages
        },
    )


@dataclasses.dataclass(frozen=True)
class Choice:
    """The held-out set."""

    sides: np.ndarray
    """Sorted hashes of the English sides that are not trained on."""
    places: tuple[tuple[int, int, int, int], ...]
    """Source, part, row and variant of the rows that are held out, in the order in which they were chosen."""

    @functools.cached_property
    def rank_of(self) -> dict[tuple[int, int, int, int], int]:
        """The position of each place in `places`."""
        return {place: rank for rank, place in enumerate(self.places)}


NOTHING_CHOSEN = Choice(np.zeros(0, np.uint64), ())


def choose(parts: Iterable[bytes], sample: Sample, groups: Groups, config: HoldoutConfig, seed: int) -> Choice:
    """Chooses the held-out set.

    Args:
      parts: tables with `KEYS` of all these rows that have the English sides of the sample.
      sample: of all rows.
      groups: all of them.
      config: how many to hold out.
      seed: of the choice.
    """
    table = unpacked(parts, KEYS)
    table = table.take(pa.array(np.lexsort([column(table, name) for name in reversed(_PLACE)])))
    english = column(table, "english")
    keys = PairKeys(english, column(table, "words"), column(table, "target"), groups.language_of(table))
    pool, removed = choose_heldout(keys, config, seed, sample.population)
    places = np.stack([column(table, name).astype(np.int64)[pool] for name in _PLACE], axis=1)
    return Choice(np.unique(english[removed]), tuple(tuple(place) for place in places.tolist()))


def fates_of(table: pa.Table, choice: Choice) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """What becomes of rows that are no duplicates.

    Returns: uint8 [rows], `TRAIN`, `HELD_OUT` or `SIDE_HELD_OUT`; and of the rows that are held out, the position in
      the held-out set and the position in the table.
    """
    fates = np.full(len(table), TRAIN, np.uint8)
    near = np.flatnonzero(among(column(table, "english"), choice.sides))
    fates[near] = SIDE_HELD_OUT
    places = np.stack([column(table, name).astype(np.int64)[near] for name in _PLACE], axis=1)
    found = []
    for position, place in zip(near.tolist(), places.tolist(), strict=True):
        rank = choice.rank_of.get(tuple(place))
        if rank is not None:
            fates[position] = HELD_OUT
            found.append((rank, position))
    return fates, found
