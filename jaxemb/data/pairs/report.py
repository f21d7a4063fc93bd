"""Counts of examples that were read, kept and dropped, by language and reason, and the bad lines of each file."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine

_QUOTED_CHARS = 80
EXAMPLES = 5
"""So many examples of each reason are kept."""


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """A well-formed entry of a source that is not a pair, such as a fuzzy translation."""

    language: str
    reason: str
    record: Record | None = dataclasses.field(default=None, compare=False)
    """What it would be as a pair, to be shown as an example."""


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
        self.examples: dict[str, list[dict[str, str]]] = collections.defaultdict(list)
        self.bad_files: list[dict[str, Any]] = []
        self.sources: dict[str, dict[str, Any]] = {}

    def drop(self, language: str, reason: str, count: int = 1, record: Record | None = None) -> None:
        """Counts dropped pairs; keeps the first few of each reason as examples."""
        self.dropped[language][reason] += count
        if record is not None:
            self.show(reason, record)

    def show(self, reason: str, record: Record) -> None:
        """Keeps a dropped pair as an example, if there are few of this reason."""
        if len(shown := self.examples[reason]) < EXAMPLES:
            shown.append({"id": record.id, "anchor": quoted(record.anchor), "positive": quoted(record.positive)})

    def begin_file(self, source: str, licence: str | None) -> None:
        """Counts a file of a source."""
        about = self.sources.setdefault(source, {"source": source, "licence": licence, "files": 0, "pairs": 0})
        about["files"] += 1

    def keep(self, source: str) -> None:
        """Counts a pair that is kept."""
        about = self.sources.setdefault(source, {"source": source, "licence": None, "files": 0, "pairs": 0})
        about["pairs"] += 1

    def add(self, other: "Report") -> None:
        """Adds the counts of what was read later."""
        self.read.update(other.read)
        for language, reasons in other.dropped.items():
            self.dropped[language].update(reasons)
        for reason, shown in other.examples.items():
            self.examples[reason] += shown[: EXAMPLES - len(self.examples[reason])]
        self.bad_files += other.bad_files
        for name, about in other.sources.items():
            mine = self.sources.setdefault(name, {**about, "files": 0, "pairs": 0})
            mine["licence"] = mine["licence"] or about["licence"]
            mine["files"] += about["files"]
            mine["pairs"] += about["pairs"]

    def state(self) -> dict[str, Any]:
        """All counts, as JSON; `Report.of_state` reads them back."""
        return {
            "read": self.read,
            "dropped": self.dropped,
            "examples": self.examples,
            "bad_files": self.bad_files,
            "sources": self.sources,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Report":
        """The report with these counts."""
        report = cls()
        report.read.update(state["read"])
        for language, reasons in state["dropped"].items():
            report.dropped[language].update(reasons)
        for reason, shown in state["examples"].items():
            report.examples[reason] += shown
        report.bad_files += state["bad_files"]
        report.sources |= state["sources"]
        return report

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
            "examples": {reason: shown for reason, shown in sorted(self.examples.items()) if shown},
            "bad_lines": self.bad_files,
            "sources": list(self.sources.values()),
        }
