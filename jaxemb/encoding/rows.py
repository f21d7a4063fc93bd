"""Many texts of any length, packed into rows of a few lengths."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxemb.models.packing import texts_per_row

SHORTEST_ROW = 64


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


def pack_rows(lengths: Sequence[int], allowed: Sequence[int]) -> list[Row]:
    """Best-fit decreasing: each text, from long to short, goes where it leaves the least room.

    Args:
      lengths: tokens of each text.
      allowed: lengths of rows, ascending; the last holds the longest text. A new row is as short as its text allows.

    Returns: the rows, the longest first.

    >>> [(row.length, row.texts) for row in pack_rows([3, 60, 50, 10, 70], allowed=(64, 128))]
    [(128, [4, 2]), (64, [1, 0]), (64, [3])]
    """
    rows: list[Row] = []
    with_room: list[list[Row]] = [[] for _ in range(allowed[-1] + 1)]  # by tokens that are free
    somewhere = 0  # bit n is set where with_room[n] is not empty
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        length = lengths[text]
        fitting = somewhere >> length
        if fitting:
            free = length + (fitting & -fitting).bit_length() - 1
            row = with_room[free].pop()
            if not with_room[free]:
                somewhere ^= 1 << free
        else:
            row = Row(next(size for size in allowed if size >= length))
            rows.append(row)
            free = row.length
        row.texts.append(text)
        if free > length and len(row.texts) < texts_per_row(row.length):
            with_room[free - length].append(row)
            somewhere |= 1 << (free - length)
    return rows
