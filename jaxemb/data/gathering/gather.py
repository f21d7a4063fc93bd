"""The rows of all sources: cleaned, without duplicates, and divided into training examples and a held-out set."""

import collections
import functools
import itertools
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.cache import cached_directory, fingerprint, in_chunks, written_to_cache
from jaxemb.data.gathering.chunks import Chunk, record_of
from jaxemb.data.gathering.cleaning import Cleaned, clean_units
from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT, NEAR_DUPLICATE, SIDE_HELD_OUT, TRAIN, Corpus
from jaxemb.data.gathering.duplicates import mark_duplicates
from jaxemb.data.gathering.heldout import Position, hold_out
from jaxemb.data.gathering.near_duplicates import mark_near_duplicates
from jaxemb.data.gathering.units import Unit, units_of
from jaxemb.data.pairs.exclude import excluded_files
from jaxemb.data.pairs.holdout import mix
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report
from jaxemb.errors import UserError
from jaxemb.files import cache_root

VERSION = 1
"""Counts up when the same rows would give other training examples, or another held-out set."""

log = logging.getLogger(__name__)


class Gathered:
    """What `gather` found, opened from the cache."""

    def __init__(self, path: Path, chunks: Sequence[Chunk]) -> None:
        self.path = path
        """The folder in the cache; its name contains the fingerprint."""
        self.corpus = Corpus(chunks, path)
        """All rows, with what becomes of them."""
        about = json.loads((path / "gathered.json").read_text())
        self.report: dict[str, Any] = about["report"]
        """Counts per language and reason, bad lines and sources, as for `data_report.json`."""
        self.examples: int = about["examples"]
        """Training examples."""
        self.epoch: int = about["epoch"]
        """Examples of an epoch: one of each row."""
        self.largest_labels: list[int | None] = about["largest_labels"]
        """The largest label of each source; None if it has none."""
        self._heldout = about["heldout"]

    @property
    def languages(self) -> list[str]:
        """The languages that pairs count for, sorted."""
        return self.corpus.languages

    def records(self) -> Iterator[Record]:
        """The training examples, in the order of sources, files and rows; `source` is left empty."""
        for index, chunk in enumerate(self.corpus.chunks):
            rows = self.corpus.rows(index)
            variant, row, part = (chunk.column(name)[rows] for name in ("variant", "row", "part"))
            rows = rows[np.lexsort((variant, row, part))]
            for block in in_chunks(len(rows)):
                for values in chunk.table.take(rows[block.start : block.stop]).to_pylist():
                    yield record_of(values)

    @functools.cached_property
    def heldout(self) -> dict[str, list[Record]]:
        """The evaluation pool of each language that has one; neither side occurs twice in a pool."""
        rows: dict[int, list[int]] = collections.defaultdict(list)
        for chunk, row in itertools.chain(*self._heldout.values()):
            rows[chunk].append(row)
        records = {  # many at a time are much faster
            (chunk, row): record
            for chunk, own in rows.items()
            for row, record in zip(own, self.corpus.chunks[chunk].records(own), strict=True)
        }
        return {
            language: [records[chunk, row] for chunk, row in positions] for language, positions in self._heldout.items()
        }


def gather(config: DataConfig, seed: int, workers: int | None = None) -> Gathered:
    """Reads, cleans and de-duplicates all sources, and chooses the held-out set.

    The cleaned rows lie in the cache. Files that were read before, with the same settings, are not read again; nor is
    anything done again that an interrupted call has finished. Memory does not grow with the number of rows, except by
    one byte a row that the operating system may write to the disk.

    Args:
      config: sources, filters, exclude, near_duplicates, holdout, cache.
      seed: of the choice of the held-out set.
      workers: number of processes; the number of cores when None.

    Raises:
      UserError: if a source is missing or unreadable, has too many bad lines, or no pair is left.
    """
    units = units_of(config, excluded_files(config.exclude, config.root))
    root = cache_root(config.cache_dir)
    path = root / gathered_name(config, seed, units)
    workers = workers or os.cpu_count() or 1
    with written_to_cache():
        cleaned = clean_units(units, config, root / "rows", workers)
    if not cleaned.chunks:
        raise nothing_left(cleaned.report)
    _check_negatives(cleaned.chunks)
    return Gathered(cached_directory(path, functools.partial(_divide, cleaned, config, seed, workers)), cleaned.chunks)


def gathered_name(config: DataConfig, seed: int, units: Sequence[Unit]) -> str:
    """A name of all rows and of what becomes of them; it contains a fingerprint of all that they depend on."""
    places = [(unit.source, unit.first, unit.key) for unit in units]
    settings = config.model_dump(mode="json", include={"holdout", "near_duplicates"})
    return f"gathered-{fingerprint(VERSION, seed, settings, places)}"


def nothing_left(report: Report) -> UserError:
    """The error that no row is left of those that the report counts."""
    dropped = report.as_json({}, {})["totals"]["dropped"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "nothing was read"
    return UserError(f"data.sources: no pair is left after data.filters: {reasons}")


def _check_negatives(chunks: Sequence[Chunk]) -> None:
    """Refuses sources whose files have different numbers of hard negatives."""
    for first, other in itertools.pairwise(chunks):
        if first.source == other.source and first.negatives != other.negatives:
            raise other_negatives(_row(other, 0).id, other.negatives, first.negatives)


def other_negatives(name: str, count: int, before: int) -> UserError:
    """The error that an example of this id has another number of hard negatives than those before it."""
    return UserError(
        f"data.sources: {name} has {count} hard negatives, but the examples before it have {before}: all must have the "
        "same number"
    )


def sources_of_pairs(config: DataConfig) -> frozenset[int]:
    """Indices of the sources that pairs are held out of: their examples have neither labels nor scores."""
    return frozenset(index for index, source in enumerate(config.sources) if not source.gives & {"label", "score"})


def _divide(cleaned: Cleaned, config: DataConfig, seed: int, workers: int, folder: Path) -> None:
    """Decides what becomes of each row."""
    corpus = Corpus(cleaned.chunks, folder)
    mark_duplicates(corpus)
    if config.near_duplicates is not None:
        mark_near_duplicates(corpus, config.near_duplicates, folder, workers)
    chosen = hold_out(corpus, sources_of_pairs(config), config.holdout, seed)
    heldout: dict[str, list[tuple[int, int]]] = {language: [] for language in corpus.languages}
    for position, language in zip(chosen, _languages(corpus, chosen), strict=True):
        heldout[language].append((position.chunk, position.row))
    fates = {fate: corpus.count(fate) for fate in (TRAIN, DUPLICATE, NEAR_DUPLICATE, HELD_OUT, SIDE_HELD_OUT)}
    summary = summary_of(cleaned.report, fates, _content_hash(corpus))
    about = {
        "report": summary,
        "examples": fates[TRAIN].total(),
        "epoch": _rows(corpus),
        "largest_labels": [_largest_label(corpus, source) for source in range(len(config.sources))],
        "heldout": {language: positions for language, positions in heldout.items() if positions},
    }
    (folder / "gathered.json").write_text(json.dumps(about, ensure_ascii=False))
    log.info("%d examples to train on, %d held out", fates[TRAIN].total(), len(chosen))


def summary_of(report: Report, fates: Mapping[int, Mapping[str, int]], content: np.ndarray) -> dict[str, Any]:
    """The report as JSON.

    Args:
      report: of the cleaning; the rows that are dropped later are added to it.
      fates: for each fate the number of rows of each language.
      content: `content_hash` of the training examples.

    Raises:
      UserError: if there is no training example.
    """
    if not any(fates[TRAIN].values()):
        raise UserError("data.holdout: no pair is left to train on; lower pairs_per_language or max_share")
    reasons = {"duplicate": DUPLICATE, "near_duplicate": NEAR_DUPLICATE, "english_side_held_out": SIDE_HELD_OUT}
    for reason, fate in reasons.items():
        for language, count in fates.get(fate, {}).items():
            report.drop(language, reason, count)
    return {**report.as_json(dict(fates[TRAIN]), dict(fates[HELD_OUT])), "train_hash": content.tobytes().hex()}


def _languages(corpus: Corpus, positions: Sequence[Position]) -> list[str]:
    """The language that each of these rows counts for."""
    chunk_of, row_of = (np.array([getattr(one, name) for one in positions], np.int64) for name in ("chunk", "row"))
    found = np.zeros(len(positions), np.int64)
    for index in np.unique(chunk_of).tolist():
        here = np.flatnonzero(chunk_of == index)
        found[here] = corpus.language_of(index, row_of[here])
    return [corpus.languages[number] for number in found.tolist()]


def _content_hash(corpus: Corpus) -> np.ndarray:
    """`content_hash` of the training examples."""
    total = np.zeros(2, np.uint64)
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index)
        pair, check = chunk.column("pair")[rows], chunk.column("check")[rows]
        total += content_hash(pair, check)
    return total


def content_hash(pair: np.ndarray, check: np.ndarray) -> np.ndarray:
    """uint64 [2]: a hash of examples that does not depend on their order; those of two sets add up.

    Args:
      pair: uint64 [N], the first hash of each example.
      check: uint64 [N], the second one.
    """
    return np.array([mix(pair, 1).sum(dtype=np.uint64), mix(pair ^ mix(check, 2), 3).sum(dtype=np.uint64)])


def _rows(corpus: Corpus) -> int:
    """Number of rows of the sources that training examples are of."""
    total = 0
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index)
        if chunk.column("variant").any():
            part, row = chunk.column("part")[rows], chunk.column("row")[rows]
            total += len(np.unique(np.stack([part, row], axis=1), axis=0))
        else:
            total += len(rows)
    return total


def _largest_label(corpus: Corpus, source: int) -> int | None:
    labels = (
        chunk.largest_label(corpus.rows(index)) for index, chunk in enumerate(corpus.chunks) if chunk.source == source
    )
    return max((label for label in labels if label is not None), default=None)


def _row(chunk: Chunk, row: int) -> Record:
    return record_of(chunk.table.slice(row, 1).to_pylist()[0])
