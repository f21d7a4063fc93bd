"""Packs texts into rows, several per row, with hardly any padding, whatever their lengths.

`jaxemb.models.packing` separates them again.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int, Integer

SHORTEST_ROW = 64
ONE_ROW = (16, 32, 64, 128, 256, 512)
"""Lengths in tokens of a row that holds only a few texts, such as a single query."""


def texts_per_row(length: int) -> int:
    """Most texts that are packed into a row of this many tokens.

    >>> texts_per_row(64)
    16
    """
    return max(1, length // 4)


def row_lengths(longest: int) -> tuple[int, ...]:
    """Lengths of rows in tokens: powers of two from 64, and `longest`.

    >>> row_lengths(200), row_lengths(40)
    ((64, 128, 200), (40,))
    """
    powers = (SHORTEST_ROW << step for step in range(longest.bit_length()))
    return (*(length for length in powers if length < longest), longest)


@dataclass
class Row:
    """Texts that share a row."""

    length: int
    texts: list[int] = field(default_factory=list)
    """Positions of the texts, in the order of the row."""


def pack(lengths: Sequence[int], allowed: Sequence[int]) -> list[Row]:
    """Best-fit decreasing: each text, from long to short, goes into the row where it leaves the least room.

    Args:
      lengths: number of tokens of each text.
      allowed: lengths of rows, ascending; the last fits the longest text. A new row is as short as its text allows.

    Returns: the rows, the longest first; a row holds at most `texts_per_row` texts.

    >>> [(row.length, row.texts) for row in pack([3, 60, 50, 10, 70], allowed=(64, 128))]
    [(128, [4, 2]), (64, [1, 0]), (64, [3])]
    """
    if max(lengths, default=0) > allowed[-1]:
        raise ValueError(f"a text of {max(lengths)} tokens does not fit a row of {allowed[-1]}")
    rows: list[Row] = []
    with_room: list[list[Row]] = [[] for _ in range(allowed[-1] + 1)]  # rows by their number of free tokens
    somewhere = 0  # bit n is set where with_room[n] is not empty
    most = {size: texts_per_row(size) for size in allowed}
    for text in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        length = lengths[text]
        fitting = somewhere >> length
        if fitting:
            free = length + (fitting & -fitting).bit_length() - 1
            row = with_room[free].pop()
            if not with_room[free]:
                somewhere ^= 1 << free
        else:
            row = Row(allowed[bisect.bisect_left(allowed, length)])
            rows.append(row)
            free = row.length
        row.texts.append(text)
        if free > length and len(row.texts) < most[row.length]:
            with_room[free - length].append(row)
            somewhere |= 1 << (free - length)
    return rows


def rows_needed(lengths: Integer[np.ndarray, "G N"], row_length: int) -> list[int]:
    """The number of rows that `pack` takes for each of some groups of texts, without saying which text is where.

    Args:
      lengths: number of tokens of each text of each group, at most `row_length`.
      row_length: tokens of a row.

    >>> rows_needed(np.array([[3, 60, 50, 10], [30, 30, 2, 2]]), 64)
    [2, 1]
    """
    groups, kinds = len(lengths), row_length + 1
    counts = np.bincount((np.arange(groups)[:, None] * kinds + lengths).reshape(-1), minlength=groups * kinds)
    return [_rows_needed(each, row_length) for each in counts.reshape(groups, kinds).tolist()]


def _rows_needed(counts: Sequence[int], row_length: int) -> int:
    """The same for so many texts of each length, from 0: rows that are alike are counted."""
    most = texts_per_row(row_length)
    with_room: list[list[tuple[int, int]]] = [[] for _ in range(row_length + 1)]  # (texts, rows) by free tokens
    somewhere = used = 0
    for length in range(row_length, -1, -1):
        left = counts[length]
        while left:
            free, held, alike = row_length, 0, left
            if fitting := somewhere >> length:
                free = length + (fitting & -fitting).bit_length() - 1
                held, alike = with_room[free].pop()
            # The row that a text goes into is the best for the next one of this length, too, until it is full.
            each = min(left, most - held, free // length if length else left)
            rows = min(alike, left // each)
            left -= each * rows
            if not fitting:
                used += rows
            elif alike > rows:
                with_room[free].append((held, alike - rows))
            elif not with_room[free]:
                somewhere ^= 1 << free
            free, held = free - each * length, held + each
            if free and held < most:
                with_room[free].append((held, rows))
                somewhere |= 1 << free
    return used


def one_row(lengths: Sequence[int], longest: int) -> Row | None:
    """The shortest row of `ONE_ROW`, or of `longest` tokens if that is shorter, that fits all texts; or None.

    Args:
      lengths: number of tokens of each text.
      longest: most tokens of a row.

    >>> one_row([7], 128), one_row([30, 20, 10], 60), one_row([400, 200], 1000)
    (Row(length=16, texts=[0]), Row(length=60, texts=[0, 1, 2]), None)
    """
    total = sum(lengths)
    for length in (*(length for length in ONE_ROW if length < longest), min(longest, ONE_ROW[-1])):
        if total <= length and 0 < len(lengths) <= texts_per_row(length):
            return Row(length, list(range(len(lengths))))
    return None


def lay_out(
    rows: Sequence[Row],
    count: int,
    length: int,
    tokens: Sequence[Sequence[int] | Integer[np.ndarray, " _"]],
    pad_id: int,
) -> tuple[Int[np.ndarray, "count length"], Int[np.ndarray, "count length"], dict[int, int]]:
    """Puts the texts of rows into one array.

    Args:
      rows: at most `count` rows of at most `length` tokens.
      count: number of rows of the array.
      length: tokens per row of the array.
      tokens: token ids of every text, by its position.
      pad_id: token id of the padding.

    Returns: `input_ids` and `segment_ids` as `models.Tokens` has them, and the slot of each text of the rows.
    """
    input_ids = np.full((count, length), pad_id, np.int32)
    segment_ids = np.zeros((count, length), np.int32)
    slots = {}
    for index, row in enumerate(rows):
        begin = 0
        for number, text in enumerate(row.texts):
            end = begin + len(tokens[text])
            input_ids[index, begin:end] = tokens[text]
            segment_ids[index, begin:end] = number + 1
            slots[text] = index * texts_per_row(length) + number
            begin = end
    return input_ids, segment_ids, slots


def lay_out_groups(
    groups: Sequence[Sequence[Row]], count: int, length: int, tokens: Sequence[Integer[np.ndarray, " _"]], pad_id: int
) -> dict[str, np.ndarray]:
    """Packed tokens, as in `models.Tokens`, of groups with the same number of texts, `count` rows for each group.

    The texts of each group are numbered from 0; `tokens` has the texts of one group after the other.
    """
    size = len(tokens) // len(groups)
    parts = [
        lay_out(rows, count, length, tokens[group * size : (group + 1) * size], pad_id)
        for group, rows in enumerate(groups)
    ]
    return {
        "input_ids": np.concatenate([input_ids for input_ids, _, _ in parts]),
        "segment_ids": np.concatenate([segment_ids for _, segment_ids, _ in parts]),
        "slots": np.array([[slots[text] for text in range(size)] for _, _, slots in parts], np.int32),
    }
