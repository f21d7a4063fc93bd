"""The result of a retrieval suite: accuracies per language, their averages, their table and JSON form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxemb.evaluation.report import Comparison, Report, ReportTable


@dataclass(frozen=True, slots=True)
class PairAccuracy:
    """Retrieval accuracy in one pool of sentence pairs."""

    name: str
    """The language, or the file."""
    forward: float
    """Percent right from the first side to the second."""
    backward: float
    """Percent right from the second side to the first."""
    n: int
    """Pairs in the pool."""
    script: str = ""
    """Script of the second side (`Latin`, `Cyrillic`, ...), where it was looked at."""

    @property
    def mean(self) -> float:
        """Mean of both directions."""
        return (self.forward + self.backward) / 2


@dataclass(frozen=True, slots=True)
class Average:
    """Macro average: every language counts the same."""

    name: str
    """The group of languages."""
    forward: float
    """Mean percentage of the forward direction."""
    backward: float
    """Mean percentage of the backward direction."""
    present: int
    """Languages that were averaged."""
    of: int
    """Languages of the whole group."""

    @property
    def mean(self) -> float:
        """Mean of both directions."""
        return (self.forward + self.backward) / 2


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """The result of one suite for one model."""

    suite: str
    """`heldout`, `tatoeba` or `parallel`."""
    directions: tuple[str, str]
    """Names of forward and backward, such as `en->xx` and `xx->en`."""
    pairs: tuple[PairAccuracy, ...]
    """One a language, sorted by name."""
    averages: tuple[Average, ...]
    """Groups without any language are left out."""
    notes: tuple[str, ...] = ()
    """What a reader must know of the numbers, such as languages left out."""

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; accuracies in percent."""
        forward, backward = self.directions
        return {
            "suite": self.suite,
            "metric": "top-1 retrieval accuracy by cosine, percent",
            "languages": {
                pair.name: {forward: pair.forward, backward: pair.backward, "mean": pair.mean, "n": pair.n}
                | ({"script": pair.script} if pair.script else {})
                for pair in self.pairs
            },
            "averages": {
                average.name: {
                    forward: average.forward,
                    backward: average.backward,
                    "mean": average.mean,
                    "present": average.present,
                    "of": average.of,
                }
                for average in self.averages
            },
            "notes": list(self.notes),
        }

    def report(self) -> Report:
        """The result for tables and files."""
        directions = tuple(direction.replace("->", "→") for direction in self.directions)
        both = " / ".join(directions)
        comparison = Comparison(
            "Retrieval accuracy in percent, macro-averaged over languages",
            {f"{one.name} ({one.present})\n{both}": f"{one.forward:.1f} / {one.backward:.1f}" for one in self.averages},
            tuple((pair.name, pair.n) for pair in self.pairs),
        )
        return Report(self.suite, self._table(directions), self.to_json(), self.notes, comparison, result=self)

    def _table(self, directions: tuple[str, ...]) -> ReportTable:
        """One row per language, sorted, then the macro averages: accuracy forward and backward, and pool size."""
        with_script = any(pair.script for pair in self.pairs)

        def row(name: str, script: str, one: PairAccuracy | Average, count: str) -> tuple[str, ...]:
            return (name, *([script] * with_script), f"{one.forward:.1f}", f"{one.backward:.1f}", count)

        def count(average: Average) -> str:
            return str(average.present) if average.present == average.of else f"{average.present} of {average.of}"

        pairs = sorted(self.pairs, key=lambda pair: pair.name)
        return ReportTable(
            "retrieval accuracy in percent",
            ("file" if self.suite == "parallel" else "language", *(["script"] * with_script)),
            (*directions, "n"),
            tuple(row(pair.name, pair.script, pair, str(pair.n)) for pair in pairs),
            tuple(row(f"mean: {one.name}", "", one, count(one)) for one in self.averages),
        )


def report_from_json(values: Mapping[str, Any]) -> RetrievalReport:
    """The report that `RetrievalReport.to_json` gave these values."""
    forward, backward = list(next(iter(values["languages"].values())))[:2]
    pairs = tuple(
        PairAccuracy(name, one[forward], one[backward], one["n"], one.get("script", ""))
        for name, one in values["languages"].items()
    )
    averages = tuple(
        Average(name, one[forward], one[backward], one["present"], one["of"])
        for name, one in values["averages"].items()
    )
    return RetrievalReport(values["suite"], (forward, backward), pairs, averages, tuple(values["notes"]))


def macro_average(name: str, pairs: Iterable[PairAccuracy], of: int | None = None) -> list[Average]:
    """The average over `pairs` as a list of one; of none where there is no pair.

    >>> macro_average("all", [PairAccuracy("de", 80.0, 60.0, 10), PairAccuracy("fr", 100.0, 70.0, 1000)])
    [Average(name='all', forward=90.0, backward=65.0, present=2, of=2)]
    """
    pairs = list(pairs)
    if not pairs:
        return []
    forward = sum(pair.forward for pair in pairs) / len(pairs)
    backward = sum(pair.backward for pair in pairs) / len(pairs)
    return [Average(name, forward, backward, len(pairs), len(pairs) if of is None else of)]
