"""What two columns of an aligned file hold: whether they can be two texts at all."""

from jaxemb.errors import UserError
from jaxemb.readers.locations import Location
from jaxemb.readers.tables import is_number

_NEARLY_ALL = 0.9
"""Share of the pairs."""


class SideTally:
    """Counts empty and numeric cells of two columns, to find out that they are the wrong ones.

    WikiMatrix has a margin score before the sentences (tasks/WikiMatrix/extract.py of LASER), exports of Tatoeba have
    numbers of sentences, and ted2020.tsv.gz of sbert.net has a column for each of 108 languages, mostly empty.
    """

    def __init__(self, path: Location, advice: str, *, by_name: bool = False) -> None:
        """Starts a file.

        Args:
          path: the file, for messages.
          advice: what to do, for messages.
          by_name: whether the user named both columns. They are the right ones then, and few rows of a rare language
            in ted2020.tsv.gz are no surprise.
        """
        self._path = path
        self._advice = advice
        self._too_many = 1.0 if by_name else _NEARLY_ALL
        self._pairs = 0
        self._empty = 0
        self._words = [False, False]
        self._header = [False, False]
        self._columns = 0

    def add(self, anchor: str, positive: str, columns: int = 2) -> None:
        """Counts a pair, of a row of so many columns."""
        self._pairs += 1
        self._columns = max(self._columns, columns)
        if not anchor.strip() or not positive.strip():
            self._empty += 1
            return
        for side, text in enumerate((anchor, positive)):
            if not self._words[side] and not is_number(text):
                # The first line may be a header that the user did not tell of.
                (self._header if self._pairs == 1 else self._words)[side] = True

    def check(self) -> None:
        """Refuses a file whose columns cannot be the two texts, at its end.

        Raises:
          UserError: if nearly all pairs have an empty side, or all texts of one side are numbers and there are more
            columns to choose from.
        """
        full = self._pairs - self._empty
        there = f" (a line has {self._columns} columns, counted from 0)" if self._columns > 2 else ""
        if self._pairs and self._empty >= self._too_many * self._pairs:
            raise UserError(
                f"{self._path}: {self._empty} of {self._pairs} pairs have an empty side; {self._advice}{there}"
            )
        for side, words, header in zip(("first", "second"), self._words, self._header, strict=True):
            if full - header > 1 and not words and self._columns > 2:
                but = " but that of the first line, which is a header," * header
                raise UserError(
                    f"{self._path}: every {side} text{but} is a number, such as a margin score; {self._advice}{there}"
                )
