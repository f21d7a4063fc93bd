"""Which rows of a file a source takes, if columns of the file say what each row is for."""

from collections import Counter

from jaxemb.data.pairs.report import Skipped
from jaxemb.errors import UserError
from jaxemb.language_tags import language_tag
from jaxemb.readers.locations import Location
from jaxemb.readers.splits import SplitTally

UNKNOWN = "und"
"""The language of an empty row, in BCP 47."""


class RowChoice:
    """Takes the rows of a split and a language; the others are counted in the report of the data."""

    def __init__(self, path: Location, split: str | None, language: str | None, key: str = "language") -> None:
        """Starts a file.

        Args:
          path: the file or data set, for messages.
          split: `split` of the source; None takes all rows.
          language: `language` of the source: of all rows in a file without such a column, and the one that is taken
            of a file with it. None takes every language and needs the column.
          key: the setting that `language` is from, for messages.
        """
        self._path = path
        self._key = key
        self._splits = SplitTally(split)
        self._language = language
        self._taken = 0
        self._others: Counter[str] = Counter()

    def of(self, split: str | None, language: str | None) -> str | Skipped:
        """The language of a row that is taken, or why it is not.

        Args:
          split: the row's split; None if the file has no such column.
          language: the row's language; None if the file has no such column.

        Raises:
          UserError: if neither the source nor the file says the language.
        """
        tag = self._tag(language)
        if not self._splits.takes(split):
            return Skipped(tag, "other_split")
        if language is not None and self._language is not None and not is_language(tag, self._language):
            self._others[tag] += 1
            return Skipped(tag, "other_language")
        self._taken += 1
        return tag

    def check(self) -> None:
        """Refuses a file of which nothing was taken, at its end.

        Raises:
          UserError: names the splits or languages that the file has.
        """
        self._splits.check(self._path, "choose with split of this source")
        if self._others and not self._taken:
            raise UserError(
                f"{self._path}: no row is of the language {self._language}, there are "
                f"{', '.join(f'{name} {count}' for name, count in self._others.items())}; choose with {self._key} of "
                "this source, null for all"
            )

    def _tag(self, language: str | None) -> str:
        if language is not None:
            return language_tag(language) or language
        if self._language is None:
            raise UserError(f"{self._path}: has no column of languages; set {self._key} of this source")
        return self._language


def is_language(tag: str, wanted: str) -> bool:
    """Whether a language, as a tag, is the wanted one, or that of a region: `en-US` is `en`."""
    wanted = language_tag(wanted) or wanted
    return tag == wanted or tag.startswith(f"{wanted}-")
