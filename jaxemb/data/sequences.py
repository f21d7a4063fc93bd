"""Sequences for pre-training: a sentence, or a sentence followed by its translation."""

from typing import Any

import numpy as np
from jaxtyping import Int

from jaxemb.data.pairs.holdout import mix
from jaxemb.data.tokenized import Tokenized

_SENTENCES = 1 << 18
"""Examples whose hashes are compared at a time."""


class Sequences:
    """Each example as one text, `text`, instead of anchor and positive; `Batches` accepts it instead of `Tokenized`.

    A single sentence stays as it is. A translation pair is joined without the second sentence's first token:
    `[CLS] anchor [SEP] positive [SEP]`. The order of the two is drawn at random each time, and there are no language
    codes (LaBSE, arXiv 2007.01852). If a sequence is too long, the longer sentence is cut first.
    """

    sides: tuple[str, ...] = ("text",)

    def __init__(self, tokenized: Tokenized, max_length: int, seed: int) -> None:
        """Plans sequences; nothing is read yet.

        Args:
          tokenized: the examples; hard negatives are ignored.
          max_length: most tokens of a sequence, special tokens included.
          seed: of the order of a pair's sentences.
        """
        self._tokenized, self._max_length, self._seed = tokenized, max_length, seed
        self.languages, self.language_of = tokenized.languages, tokenized.language_of
        self.starts = tokenized.starts
        self.single: np.ndarray = np.empty(len(tokenized), bool)
        """[N], True if an example is a single sentence."""
        lengths = np.empty((len(tokenized), 1), np.uint16)
        for start in range(0, len(tokenized), _SENTENCES):
            some = slice(start, start + _SENTENCES)
            hashes = tokenized.hashes[some]
            self.single[some] = (hashes[:, 0] == hashes[:, 1]).all(axis=1)
            first, second = tokenized.lengths[some, :2].astype(np.int64).T
            whole = np.where(self.single[some], first, first + second - 1)
            lengths[some, 0] = np.minimum(whole, max_length)
        self.lengths = lengths
        """uint16 [N, 1], tokens of each sequence."""

    def __len__(self) -> int:
        return len(self.lengths)

    def token_ids(self, rows: Int[np.ndarray, " B"], step: int = 0) -> list[list[np.ndarray]]:
        """Token ids of the sequences of the examples at these positions: one list, of `text`."""
        anchors, positives = self._tokenized.token_ids(rows)[:2]
        swapped = mix(mix(rows, self._seed) ^ np.uint64(step), 0) >> np.uint64(63)
        return [
            [
                anchor if single else self._pair(*((positive, anchor) if swap else (anchor, positive)))
                for anchor, positive, single, swap in zip(
                    anchors, positives, self.single[rows].tolist(), swapped.tolist(), strict=True
                )
            ]
        ]

    def columns(self, rows: Int[np.ndarray, " B"]) -> dict[str, Any]:
        """Nothing else."""
        del rows
        return {}

    def _pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        room = self._max_length + 1  # one token is dropped
        shorter = min(len(first), len(second), room // 2)
        longer = room - shorter
        most = (shorter, longer) if len(first) <= len(second) else (longer, shorter)
        first, second = (_cut(one, length) for one, length in zip((first, second), most, strict=True))
        return np.concatenate([first, second[1:]])


def _cut(text: np.ndarray, length: int) -> np.ndarray:
    """The first tokens, and the last one, which marks the end of a text."""
    return text if len(text) <= length else np.append(text[: length - 1], text[-1:])
