"""Rows that were dropped or held out after all files were read: their numbers, and examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT, NEAR_DUPLICATE, SIDE_HELD_OUT, TRAIN, Corpus
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import EXAMPLES, Report

REASONS = {"duplicate": DUPLICATE, "near_duplicate": NEAR_DUPLICATE, "english_side_held_out": SIDE_HELD_OUT}
"""Fates of rows that are dropped, by the name of the reason."""


def examples_of_fates(corpus: Corpus) -> dict[str, list[dict[str, str]]]:
    """The first few rows of each of `REASONS`, as the report shows dropped pairs."""
    report = Report()
    for reason, fate in REASONS.items():
        for record in first_records(corpus, fate, EXAMPLES):
            report.show(reason, record)
    return dict(report.examples)


def first_records(corpus: Corpus, fate: int, count: int) -> list[Record]:
    """The first rows with this fate, in the order of sources, parts and rows.

    Args:
      corpus: its chunks are in that order.
      fate: one of the fates of `corpus`.
      count: at most so many.
    """
    found: list[Record] = []
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index, fate)
        keys = tuple(chunk.column(name)[rows] for name in ("variant", "row", "part"))
        found += chunk.records(rows[np.lexsort(keys)][: count - len(found)])
        if len(found) == count:
            break
    return found


def counts_of_groups(corpus: Corpus, sources: Sequence[str]) -> list[dict[str, Any]]:
    """How many rows of each source and pair of languages are trained on, held out, and dropped, by reason.

    Args:
      corpus: all rows.
      sources: the name of each source.
    """
    fates = {"train": TRAIN, "heldout": HELD_OUT, **REASONS}
    counts = {name: corpus.count_groups(fate).tolist() for name, fate in fates.items()}
    return [
        {
            "source": sources[source],
            "anchor_lang": anchor_lang,
            "positive_lang": positive_lang,
            "language": pair_language(anchor_lang, positive_lang),
            **{name: of_group[index] for name, of_group in counts.items()},
        }
        for index, (source, anchor_lang, positive_lang) in enumerate(corpus.groups)
    ]
