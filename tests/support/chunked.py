"""A corpus of chunks, made of records."""

import random
from collections.abc import Sequence
from pathlib import Path

from jaxemb.config import FilterConfig
from jaxemb.data.gathering.chunks import Chunk, write_chunk
from jaxemb.data.gathering.corpus import Corpus
from jaxemb.data.gathering.rows import Row, clean_rows
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report


def corpus_of(records: Sequence[Record], folder: Path, chunks: int = 1, seed: int | None = None) -> Corpus:
    """The records in so many chunks; with a seed, in a random order and in chunks of random sizes."""
    folder.mkdir(parents=True)
    rows = [Row(0, number, 0, record) for number, record in enumerate(records)]
    rng = random.Random(seed)
    if seed is not None:
        rng.shuffle(rows)
    ends = sorted(rng.sample(range(1, len(rows)), chunks - 1)) if chunks > 1 else []
    found = []
    for first, stop in zip([0, *ends], [*ends, len(rows)], strict=True):
        path = folder / f"chunk-{first:05d}.arrow"
        write_chunk(path, clean_rows(rows[first:stop], FilterConfig(), Report()), {})
        found.append(Chunk(path, 0))
    return Corpus(found, folder)
