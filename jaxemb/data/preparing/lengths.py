"""How many texts of each language have how many tokens."""

import collections
from collections.abc import Mapping

import numpy as np

LONGEST = 1024
"""Texts of so many tokens and more are counted together."""


class Lengths:
    """Numbers of texts by language and number of tokens, without special tokens."""

    def __init__(self) -> None:
        self._counts: dict[str, np.ndarray] = collections.defaultdict(lambda: np.zeros(LONGEST + 1, np.int64))

    def add(self, languages: tuple[str, str], lengths: np.ndarray, twins: np.ndarray) -> None:
        """Counts the texts of examples.

        Args:
          languages: of the anchors, and of the positives and hard negatives.
          lengths: int [N, T], tokens of each text.
          twins: bool [N], whether the positive is the text of the anchor, which counts once.
        """
        lengths = np.minimum(lengths, LONGEST)
        for language, texts in zip(languages, (lengths[:, 0], lengths[~twins, 1:].reshape(-1)), strict=True):
            self._counts[language] += np.bincount(texts, minlength=LONGEST + 1)

    def add_all(self, counts: Mapping[str, list[int]]) -> None:
        """Adds what `as_json` says of other examples."""
        for language, row in counts.items():
            self._counts[language][: len(row)] += row

    def as_json(self) -> dict[str, list[int]]:
        """For each language, sorted, how many texts have 0, 1, 2, ... tokens."""
        return {
            language: row[: int(np.flatnonzero(row).max()) + 1].tolist()
            for language, row in sorted(self._counts.items())
            if row.any()
        }
