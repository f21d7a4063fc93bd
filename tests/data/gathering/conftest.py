"""Rows with duplicates, several sources and several examples of a row, and chunks of them cut in different ways."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from jaxemb.config import FilterConfig
from jaxemb.data.gathering.chunks import Chunk, write_chunk
from jaxemb.data.gathering.corpus import Corpus
from jaxemb.data.gathering.rows import Row, clean_rows
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Report

NO_FILTER = FilterConfig(max_length_ratio=1000.0, drop_identical=False)


def some_rows(source: int, count: int = 300, variants: int = 1) -> list[Row]:
    """Rows of three parts and three languages; about a third are duplicates of others, of other sources, too."""
    draw = random.Random(source)
    rows = []
    for number in range(count):
        part = number * 3 // count
        for variant in range(variants):
            word = "abcdefghijklmnopqrstuvwxyz"[draw.randrange(26)]
            text = f"sentence {word * draw.randrange(1, 12)} of many"
            language = ("de", "fr", "ja")[draw.randrange(3)]
            record = Record(
                text, f"{language} {word} {draw.randrange(4)}", anchor_lang="en", positive_lang=language, id=f"{number}"
            )
            rows.append(Row(part, number, variant, record))
    return rows


def chunks_of(folder: Path, sources: Sequence[Sequence[Row]], size: int) -> list[Chunk]:
    """The rows of each source in chunks of `size`; the examples of a row stay together."""
    chunks = []
    for source, rows in enumerate(sources):
        start = 0
        while start < len(rows):
            stop = min(start + size, len(rows))
            while stop < len(rows) and rows[stop].variant:
                stop += 1
            path = folder / f"{source}-{start:05d}.arrow"
            write_chunk(path, clean_rows(rows[start:stop], NO_FILTER, Report()), {})
            chunks.append(Chunk(path, source))
            start = stop
    return chunks


def corpus_of(folder: Path, sources: Sequence[Sequence[Row]], size: int = 100) -> Corpus:
    """A corpus in an empty folder."""
    folder.mkdir()
    return Corpus(chunks_of(folder, sources, size), folder)


def contents(corpus: Corpus, fate: int) -> set[tuple[int, int, int, int]]:
    """Source, part, row and variant of the rows with this fate."""
    found = set()
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index, fate)
        columns = (chunk.column(name)[rows].tolist() for name in ("part", "row", "variant"))
        found |= {(chunk.source, *place) for place in zip(*columns, strict=True)}
    return found


@pytest.fixture
def sources() -> list[list[Row]]:
    return [some_rows(0), some_rows(1, 200, variants=3), some_rows(2)]
