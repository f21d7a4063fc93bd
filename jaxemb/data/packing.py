"""Lays texts out in rows of one length: several a row, hardly any padding, whatever their lengths.

`jaxemb.models.packing` takes them apart again.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxemb.models.packing import texts_per_row


class Layout(NamedTuple):
    """Where each text lies, in G groups of N texts that are packed apart from each other."""

    row: np.ndarray
    """int64 [G, N], row in the group."""
    offset: np.ndarray
    """int64 [G, N], place of the first token in the row."""
    segment: np.ndarray
    """int64 [G, N], number of the text in the row, from 1."""

    @property
    def rows(self) -> int:
        """Rows that the fullest group takes."""
        return int(self.row.max()) + 1


def pack(lengths: Int[np.ndarray, "G N"], row_length: int) -> Layout:
    """Best-fit decreasing: each text, from long to short, goes into the fullest row that has room for it.

    Args:
      lengths: tokens of each text, at most `row_length`.
      row_length: tokens of a row, which holds at most `texts_per_row(row_length)` texts.

    >>> layout = pack(np.array([[3, 9, 5, 7]]), row_length=12)
    >>> layout.row.tolist(), layout.offset.tolist(), layout.segment.tolist()
    ([[0, 0, 1, 1]], [[9, 0, 7, 0]], [[2, 1, 2, 1]])
    """
    groups, count = lengths.shape
    if lengths.max() > row_length:
        raise ValueError(f"a text of {lengths.max()} tokens does not fit a row of {row_length}")
    every = np.arange(groups)
    free = np.full((groups, count), row_length)
    texts = np.zeros((groups, count), np.int64)
    row, offset, segment = (np.empty((groups, count), np.int64) for _ in range(3))
    used = 0
    for text in np.argsort(-lengths, axis=1, kind="stable").T:
        length = lengths[every, text]
        rows = slice(0, min(used + 1, count))
        left = free[:, rows] - length[:, None]
        best = np.where((left < 0) | (texts[:, rows] == texts_per_row(row_length)), row_length, left).argmin(axis=1)
        row[every, text], offset[every, text] = best, row_length - free[every, best]
        free[every, best] -= length
        texts[every, best] += 1
        segment[every, text] = texts[every, best]
        used = max(used, int(best.max()) + 1)
    return Layout(row, offset, segment)


def lay_out(
    layout: Layout, rows: int, row_length: int, lengths: Int[np.ndarray, "G N"], ids: Int[np.ndarray, " T"], pad_id: int
) -> dict[str, np.ndarray]:
    """Packed tokens, as `models.Tokens` has them.

    Args:
      layout: from `pack`.
      rows: rows a group, at least `layout.rows`.
      row_length: S, as for `pack`.
      lengths: tokens of each text.
      ids: their token ids, one text after the other.
      pad_id: token id of the padding.

    Returns: `input_ids` and `segment_ids`, int32 [G * rows, S], and `slots`, int32 [G, N].
    """
    groups, lengths = len(lengths), lengths.astype(np.int64)
    begin = (np.arange(groups)[:, None] * rows + layout.row) * row_length + layout.offset
    places = np.repeat((begin.ravel() - (np.cumsum(lengths) - lengths.ravel())), lengths.ravel()) + np.arange(len(ids))
    input_ids = np.full(groups * rows * row_length, pad_id, np.int32)
    segment_ids = np.zeros_like(input_ids)
    input_ids[places] = ids
    segment_ids[places] = np.repeat(layout.segment.ravel(), lengths.ravel())
    return {
        "input_ids": input_ids.reshape(-1, row_length),
        "segment_ids": segment_ids.reshape(-1, row_length),
        "slots": (layout.row * texts_per_row(row_length) + layout.segment - 1).astype(np.int32),
    }
