"""Counts of examples that were read, kept and dropped, by language and reason, and the bad lines of each file."""

import collections
import dataclasses
from typing import Any

from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine

_QUOTED_CHARS = 80


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """A well-formed entry of a source that is not a pair, such as a fuzzy translation."""

    language: str
    reason: str


def quoted(content: str) -> str:
    """The content as one short, printable line."""
    shown = content if len(content) <= _QUOTED_CHARS else content[: _QUOTED_CHARS - 1] + "…"
    return repr(shown)


class FileTally:
    """Counts of good and bad lines of one file, and its first bad line, for the message."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines = 0
        self.bad = 0
        self.first: BadLine | None = None

    def add_bad(self, line: BadLine) -> None:
        """Counts a bad line."""
        self.lines += 1
        self.bad += 1
        self.first = self.first or line

    def check(self, max_bad_line_share: float) -> None:
        """Refuses the file if too many lines are bad.

        Raises:
          UserError: the message quotes the first bad line and names the setting that allows more.
        """
        if self.first is None or self.bad <= max_bad_line_share * self.lines:
            return
        raise UserError(
            f"{self.name}: {self.bad} of {self.lines} lines are malformed ({self.bad / self.lines:.1%}; allowed: "
            f"{max_bad_line_share:.1%}). The first is line {self.first.line}, {self.first.reason}: "
            f"{quoted(self.first.content)}. Correct the file or the source's settings, or raise "
            "data.filters.max_bad_line_share to skip these lines"
        )

    def as_json(self) -> dict[str, Any]:
        """The file's entry in the report."""
        assert self.first is not None
        return {
            "file": self.name,
            "lines": self.lines,
            "bad": self.bad,
            "first": f"{self.name}:{self.first.line}: {self.first.reason}: {quoted(self.first.content)}",
        }


class Report:
    """Counts by language and reason, collected while the sources are read."""

    def __init__(self) -> None:
        self.read: collections.Counter[str] = collections.Counter()
        self.dropped: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self.bad_files: list[dict[str, Any]] = []
        self.sources: dict[str, dict[str, Any]] = {}

    def drop(self, language: str, reason: str, count: int = 1) -> None:
        """Counts dropped pairs."""
        self.dropped[language][reason] += count

    def finish_file(self, tally: FileTally, max_bad_line_share: float) -> None:
        """Adds the tally of a file that has been read completely; raises UserError if it has too many bad lines."""
        tally.check(max_bad_line_share)
        if tally.bad:
            self.bad_files.append(tally.as_json())

    def as_json(self, train: dict[str, int], heldout: dict[str, int]) -> dict[str, Any]:
        """The whole report, for `data_report.json`."""
        languages = {
            language: {
                "read": self.read[language],
                "train": train.get(language, 0),
                "heldout": heldout.get(language, 0),
                "dropped": dict(sorted(self.dropped[language].items())),
            }
            for language in sorted(self.read.keys() | self.dropped.keys())
        }
        dropped = sum(self.dropped.values(), collections.Counter())
        return {
            "totals": {
                "read": self.read.total(),
                "train": sum(train.values()),
                "heldout": sum(heldout.values()),
                "dropped": dict(sorted(dropped.items())),
                "bad_lines": sum(file["bad"] for file in self.bad_files),
            },
            "languages": languages,
            "bad_lines": self.bad_files,
            "sources": list(self.sources.values()),
        }
