"""Prepares shards on one machine: tokenizes the chunks, and writes the lanes in several processes."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.cache import cached_directory, fingerprint, written_to_cache
from jaxemb.data.gathering.chunks import Chunk
from jaxemb.data.gathering.corpus import TRAIN, Corpus
from jaxemb.data.gathering.gather import Gathered
from jaxemb.data.gathering.processes import processes
from jaxemb.data.preparing.finishing import Finished, finish, prompts_of, sources_of
from jaxemb.data.preparing.lengths import Lengths
from jaxemb.data.preparing.output import Output
from jaxemb.data.preparing.tokens import Encoding, Tokens, tokenize_chunk
from jaxemb.data.preparing.writing import SHARD_ROWS, examples_of, lanes_for, rows_of_lane
from jaxemb.data.shards.index import ShardInfo, shard_name
from jaxemb.data.shards.manifest import LAYOUT_VERSION, ORDER_VERSION, Manifest
from jaxemb.data.shards.record import Layout
from jaxemb.data.shards.writer import write_shard

SMALL = 1 << 16
"""Fewer examples are written in this process: another one takes a second to start."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What writing a lane needs, small enough to send to another process."""

    gathered: Path
    """Folder of the fates."""
    chunks: tuple[tuple[Path, int], ...]
    """Path and source of each chunk."""
    tokens: tuple[Path, ...]
    """Of each chunk."""
    lanes: int
    layout: Layout


@dataclass(frozen=True)
class WrittenLane:
    """A lane whose shards are in their place."""

    counts: np.ndarray
    """int64 [G], examples of each group."""
    starts: np.ndarray
    """int64, the first example of each row, from 0."""
    infos: tuple[ShardInfo, ...]


def cached_shards(data: Gathered, config: DataConfig, encoding: Encoding) -> str:
    """The folder in the cache with the shards of these examples; writes them first if they are not there.

    Arguments as of `write_shards`.

    Raises:
      UserError: if the cache cannot be written.
    """
    path = data.path.parent / f"prepared-{_plan(data, config, encoding)}"

    def write(folder: Path) -> None:
        write_shards(data, config, encoding, str(folder))

    return str(cached_directory(path, write))


def write_shards(
    data: Gathered,
    config: DataConfig,
    encoding: Encoding,
    output: str,
    beside: Mapping[str, bytes] | None = None,
    workers: int | None = None,
) -> Manifest:
    """Tokenizes the training examples and writes them as shards, with a manifest, into a folder or to a URL.

    A preparation that was interrupted goes on: what is finished stays.

    Args:
      data: the examples.
      config: the sources; their `anchor_prompt` and `positive_prompt`, else those of `config`, are put before texts.
      encoding: the tokenizer.
      output: a folder, or a URL that fsspec opens.
      beside: more files to write there, by name.
      workers: number of processes; the number of cores when None.

    Raises:
      UsageError: if other data are in the output.
      UserError: if it or the cache cannot be written.
    """
    corpus, prompts = data.corpus, prompts_of(config)
    plan, lanes = _plan(data, config, encoding), lanes_for(data.examples)
    place = Output(output, plan, data.path.parent / f"shards-{plan}")
    with written_to_cache():
        tokens = [tokenize_chunk(chunk, encoding, prompts[chunk.source]) for chunk in corpus.chunks]
    log.info("%d examples tokenized", data.examples)
    sources = sources_of(config, {chunk.source: 2 + chunk.negatives for chunk in corpus.chunks})
    job = Job(
        data.path,
        tuple((chunk.path, chunk.source) for chunk in corpus.chunks),
        tuple(one.path for one in tokens),
        lanes,
        Layout(max(source.texts for source in sources), np.dtype(encoding.dtype).name),
    )
    written = _write_lanes(job, corpus, place, workers or os.cpu_count() or 1)
    counts = np.stack([lane.counts for lane in written])
    first = np.cumsum(counts.sum(1)) - counts.sum(1)
    done = Finished(
        data=data.path.name,
        groups=corpus.groups,
        counts=counts,
        infos=[info for lane in written for info in lane.infos],
        epoch=data.epoch,
        starts=np.concatenate([lane.starts + start for lane, start in zip(written, first, strict=True)]),
        largest_labels=data.largest_labels,
        heldout=data.heldout,
        report={**data.report, "lengths": _lengths(corpus, tokens).as_json()},
    )
    return finish(place, done, encoding, sources, beside)


def _plan(data: Gathered, config: DataConfig, encoding: Encoding) -> str:
    """A fingerprint of what the shards depend on."""
    versions = (SHARD_ROWS, LAYOUT_VERSION, ORDER_VERSION)
    tokenizer = (encoding.hash, encoding.truncation_side)
    return fingerprint(data.path.name, *tokenizer, prompts_of(config), lanes_for(data.examples), *versions)


def _write_lanes(job: Job, corpus: Corpus, place: Output, workers: int) -> list[WrittenLane]:
    shards = -(-_sizes(corpus, job.lanes) // SHARD_ROWS)
    first = (np.cumsum(shards) - shards).tolist()
    lanes = range(job.lanes)
    if workers == 1 or job.lanes == 1 or sum(map(len, corpus.chunks)) < SMALL:
        return [write_lane(job, place, lane, first[lane]) for lane in lanes]
    with processes(min(workers, job.lanes)) as pool:
        return list(pool.map(write_lane, *zip(*((job, place, lane, first[lane]) for lane in lanes), strict=True)))


def _sizes(corpus: Corpus, lanes: int) -> np.ndarray:
    """int64 [L], training examples in each lane."""
    sizes = np.zeros(lanes, np.int64)
    for index, chunk in enumerate(corpus.chunks):
        order = chunk.column("order")[corpus.rows(index, TRAIN)]
        borders = [np.searchsorted(order, np.uint64((lane << 64) // lanes)) for lane in range(lanes)]
        sizes += np.diff([*borders, len(order)])
    return sizes


def write_lane(job: Job, place: Output, lane: int, first: int) -> WrittenLane:
    """Writes the shards of a lane that are not there, and takes them to their place.

    Args:
      job: the preparation.
      place: the output.
      lane: which one.
      first: number of its first shard.
    """
    corpus = Corpus([Chunk(path, source) for path, source in job.chunks], job.gathered)
    tokens = [Tokens(path) for path in job.tokens]
    rows = rows_of_lane(corpus, lane, job.lanes)
    infos = []
    for index, start in enumerate(range(0, len(rows.row), SHARD_ROWS)):
        name = shard_name(first + index)
        info = place.finished(name)
        if info is None:
            part = range(start, min(start + SHARD_ROWS, len(rows.row)))
            info = write_shard(place.folder, name, examples_of(corpus, tokens, rows, part), job.layout)
            place.publish(info)
        infos.append(info)
    return WrittenLane(rows.counts, rows.starts, tuple(infos))


def _lengths(corpus: Corpus, tokens: Sequence[Tokens]) -> Lengths:
    """The lengths of the texts of all training examples."""
    lengths = Lengths()
    for index, one in enumerate(tokens):
        rows = corpus.rows(index)
        group = corpus.group_of(index, rows)
        for number in np.unique(group).tolist():
            own = rows[group == number]
            lengths.add(corpus.groups[number][1:], one.lengths[own], one.twins[own])
    return lengths
