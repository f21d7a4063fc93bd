"""Columns that say what a row is for: its split, its language."""

from collections import Counter
from collections.abc import Sequence

from jaxemb.errors import UserError
from jaxemb.readers.locations import Location
from jaxemb.readers.tables import find_column

LANGUAGE = ("language", "lang")
"""Names of a column that has each row's language: `language` in XNLI."""
_SPLIT = ("split", "SemEval_set")
"""Names of a column that has each row's split: AllNLI and stsbenchmark of sbert.net, SICK."""
_MAY_BE_SPLIT = ("set", "subset", "partition", "data_split", "fold")
"""These names are used for other things, too, so the first row must have the name of a split in them."""
SPLIT_NAMES = _SPLIT
"""Names of the field that has a record's split."""
_NAMES = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "development": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "trial": "dev",
    "test": "test",
}


def split_name(value: str) -> str:
    """One name for each split: `dev` for `TRIAL` and `validation`; other names stay as they are, in lower case.

    >>> [split_name(name) for name in ("TRAIN", "TRIAL", "validation", "fold 3")]
    ['train', 'dev', 'dev', 'fold 3']
    """
    name = value.strip().lower()
    return _NAMES.get(name, name)


def split_column(names: Sequence[str], first: Sequence[str] | None) -> int | None:
    """The column of a table that says each row's split; None if there is none.

    Args:
      names: the header.
      first: the cells of the first row; None if there is no row.
    """
    column = find_column(names, _SPLIT)
    if column is None and (maybe := find_column(names, _MAY_BE_SPLIT)) is not None:
        value = first[maybe] if first is not None and maybe < len(first) else ""
        column = maybe if value.strip().lower() in _NAMES else None
    return column


class SplitTally:
    """Takes the rows of one split and counts the others."""

    def __init__(self, split: str | None) -> None:
        self._wanted = None if split is None else split_name(split)
        self._taken = 0
        self.others: Counter[str] = Counter()
        """Rows of each other split."""

    def takes(self, value: str | None) -> bool:
        """Whether a row is of the split; a row of a file that does not say so always is."""
        if value is None or self._wanted is None or split_name(value) == self._wanted:
            self._taken += 1
            return True
        self.others[split_name(value)] += 1
        return False

    def check(self, path: Location, advice: str) -> None:
        """Refuses a file that has rows of other splits only.

        Raises:
          UserError: names the splits that the file has, and gives the advice.
        """
        if self.others and not self._taken:
            raise UserError(f"{path}: no row is of the split {self._wanted}, there are {self.described()}; {advice}")

    def described(self) -> str:
        """The other splits and their numbers of rows: `train 4439, dev 495`."""
        return ", ".join(f"{name or 'without a name'} {count}" for name, count in self.others.items())
