"""Sequences for pre-training: a sentence, or a sentence followed by its translation."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Integer

from jaxemb.data.examples import Examples
from jaxemb.data.pairs.holdout import mix


class Sequences:
    """Each example as one text, `text`, instead of anchor and positive, for `Batches`.

    A single sentence stays as it is. A translation pair is joined without the second sentence's first token:
    `[CLS] anchor [SEP] positive [SEP]`. The order of the two is drawn at random each time, and there are no language
    codes (LaBSE, arXiv 2007.01852). If a sequence is too long, the longer sentence is cut first.
    """

    sides: tuple[str, ...] = ("text",)

    def __init__(
        self, examples: Examples, is_single: Callable[[np.ndarray], Bool[np.ndarray, " B"]], max_length: int, seed: int
    ) -> None:
        """Plans sequences; nothing is read yet.

        Args:
          examples: the examples; hard negatives are ignored.
          is_single: says which of some examples are single sentences.
          max_length: most tokens of a sequence, special tokens included.
          seed: of the order of a pair's sentences.
        """
        self._examples, self._is_single, self._max_length, self._seed = examples, is_single, max_length, seed
        self.lengths = _Lengths(self)
        """`lengths[rows]` is uint16 [B, 1], tokens of each sequence."""

    def __len__(self) -> int:
        return len(self._examples)

    def lengths_of(self, rows: Int[np.ndarray, " B"]) -> Integer[np.ndarray, "B 1"]:
        """Tokens of each sequence."""
        first, second = np.asarray(self._examples.lengths[rows])[:, :2].astype(np.int64).T
        whole = np.where(self._is_single(rows), first, first + second - 1)
        return np.minimum(whole, self._max_length).astype(np.uint16)[:, None]

    def read(self, rows: Int[np.ndarray, " B"], step: int = 0) -> tuple[list[list[np.ndarray]], dict[str, Any]]:
        """Token ids of the sequences of the examples at these positions: one list, of `text`; and no columns."""
        anchors, positives = self._examples.read(rows)[0][:2]
        swapped = mix(mix(rows, self._seed) ^ np.uint64(step), 0) >> np.uint64(63)
        texts = [
            anchor if single else self._pair(*((positive, anchor) if swap else (anchor, positive)))
            for anchor, positive, single, swap in zip(
                anchors, positives, self._is_single(rows).tolist(), swapped.tolist(), strict=True
            )
        ]
        return [texts], {}

    def _pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        room = self._max_length + 1  # one token is dropped
        shorter = min(len(first), len(second), room // 2)
        longer = room - shorter
        most = (shorter, longer) if len(first) <= len(second) else (longer, shorter)
        first, second = (_cut(one, length) for one, length in zip((first, second), most, strict=True))
        return np.concatenate([first, second[1:]])


class _Lengths:
    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self._sequences.lengths_of(rows)


def _cut(text: np.ndarray, length: int) -> np.ndarray:
    """The first tokens, and the last one, which marks the end of a text."""
    return text if len(text) <= length else np.append(text[: length - 1], text[-1:])
