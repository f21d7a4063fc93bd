"""Every kind of source, with duplicates within and between them, and rows as the steps of the pipeline see them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data.gathering.conftest import sources  # noqa: F401
from data.preparing.test_tokens import tokenizer  # noqa: F401
from jaxemb.config import (
    DataConfig,
    FilterConfig,
    HoldoutConfig,
    JsonlSource,
    NliSource,
    StsSource,
    TextSource,
    TsvSource,
)
from jaxemb.data.beam.tables import ROWS, Groups
from jaxemb.data.gathering.corpus import Corpus

NO_TOKENS = "\ufffd\ufffd"
"""A text that BERT's normaliser removes."""


def word(number: int) -> str:
    return "".join("bcdfghjklmnpqrst"[number >> shift & 15] for shift in (8, 4, 0)) + "a" * (number % 7)


def pair(language: str, number: int) -> str:
    return f"a text of {word(number)}\t{language} {word(number + 7)} {word(number)}"


def write_sources(folder: Path) -> DataConfig:
    """Pairs, rows with several positives and hard negatives, single sentences, pairs with scores and with labels."""
    for language in ("de", "fr"):
        (folder / f"en-{language}.tsv").write_text("\n".join(pair(language, n) for n in range(200)))
    (folder / "more.tsv").write_text("\n".join(pair("de", n) for n in range(100, 300)))
    rows = (
        {
            "q": f"a query of {word(n)}",
            "p": [f"a query of {word(n)}", *(f"{which} {word(n % 50)}" for which in ("two", "three"))][: n % 3 + 1],
            "n": [f"not {word(n)}", "not this"],
        }
        for n in range(60)
    )
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "ja.txt").write_text("\n".join([*(f"sentence {word(n)}" for n in range(50)), "()", "()", "", NO_TOKENS]))
    (folder / "sts.csv").write_text("".join(f"a {word(n)},the {word(n + 1)},{n % 5}.5\n" for n in range(40)))
    labels = ("entailment", "neutral", "contradiction", "-")
    nli = (
        {"sentence1": f"one {word(n)}", "sentence2": f"of {word(n + 3)}", "gold_label": labels[n % 4]}
        for n in range(40)
    )
    (folder / "nli.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in nli))
    return DataConfig(
        root=str(folder),
        sources=(
            TsvSource(path="en-*.tsv"),
            TsvSource(path="more.tsv", positive_lang="de", anchor_prompt="q "),
            JsonlSource(path="rows.jsonl", anchor_key="q", positive_key="p", negative_keys=("n",), negatives=1),
            TextSource(path="ja.txt"),
            StsSource(path="sts.csv"),
            NliSource(path="nli.jsonl"),
        ),
        filters=FilterConfig(max_length_ratio=1000),
        holdout=HoldoutConfig(pairs_per_language=10),
        cache_dir=str(folder / "cache"),
    )


@pytest.fixture
def config(tmp_path) -> DataConfig:
    return write_sources(tmp_path)


def tables_of(corpus: Corpus) -> list[pa.Table]:
    """The rows of each chunk with the index of their source, and languages as plain text."""
    tables = []
    for chunk in corpus.chunks:
        source = pa.array(np.full(len(chunk), chunk.source, np.int32))
        tables.append(chunk.table.append_column("source", source).select(ROWS.names).cast(ROWS))
    return tables


def groups_of(corpus: Corpus) -> Groups:
    """The groups of all rows."""
    found = {(source, f"{anchor} {positive}") for source, anchor, positive in corpus.groups}
    return Groups.of(found, {source: 2 for source, _ in found})


def places_of(table: pa.Table) -> list[tuple[int, int, int, int]]:
    """Source, part, row and variant of each row."""
    return list(zip(*(table[name].to_pylist() for name in ("source", "part", "row", "variant")), strict=True))
