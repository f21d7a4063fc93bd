"""A suite scores models. Its entry tells the command line and runs how to use it."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from jaxemb.config import EvaluationConfig
from jaxemb.evaluation.pools import EncodeFns
from jaxemb.evaluation.report import Report
from jaxemb.readers.sts_files import SPLITS


@runtime_checkable
class Suite(Protocol):
    """A test set with its settings, on which models are scored."""

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """Scores the model behind `encode_fn`.

        Args:
          encode_fn: texts to embeddings, any norm. Of two functions the first embeds anchors and the second positives.

        Raises:
          UserError: if a file is missing or malformed, or an embedding is not finite.
        """

    def baseline(self) -> Report | None:
        """The score of TF-IDF of character n-grams on the same texts; None if the suite has no such baseline."""


@dataclass(frozen=True)
class Flag:
    """A flag of `jaxemb evaluate` for some suites only. Its value is None if the user does not give it."""

    name: str
    """`--split`."""
    has: str
    """End of the error `--split: only the suite sts has ...`, for a user who gives the flag with another suite."""
    help: str
    """Text for `--help`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `argparse.ArgumentParser.add_argument`."""

    def value(self, arguments: argparse.Namespace) -> Any:
        """What the user gave."""
        return getattr(arguments, self.name.lstrip("-").replace("-", "_"))


SPLIT = Flag(
    "--split",
    has="splits to choose from",
    help="the split to score: files of a folder, rows of a file (default: test)",
    settings={"choices": list(SPLITS)},
)
"""For suites whose files or rows are of different splits."""


@dataclass(frozen=True)
class Command:
    """What `jaxemb evaluate --suite NAME` needs of a suite."""

    about: str
    """One line for the start of `--help`: the question that the suite answers. Suites may share it."""
    files: str
    """Text for the end of `--help`, in lines of up to 108 characters: what `--data` must name."""
    suite_of: Callable[[argparse.Namespace], Suite]
    """Makes the suite from `data` (a list of paths) and the flags. Raises UsageError if they do not fit."""
    flags: tuple[Flag, ...] = ()
    """Flags of this suite. Several suites may have an equal flag."""


def no_note(report: Report, config: EvaluationConfig) -> str:
    """The model card says nothing more."""
    return ""


@dataclass(frozen=True)
class InRuns:
    """What a run needs, if the suite scores runs."""

    key: str
    """Key of the suite in `results.json`."""
    report_of: Callable[[Mapping[str, Any]], Report]
    """Makes a report from its `values`, as `results.json` keeps them."""
    card_note: Callable[[Report, EvaluationConfig], str] = no_note
    """Text for the model card on what the scores are; gets one of the reports and the run's `evaluation`."""
    always: bool = False
    """Whether `results.json` has the key even if the suite scored nothing, as it had before there were more suites."""
    whole_embeddings: bool = False
    """Whether the suite needs embeddings that `model.truncate_dim` has not cut."""


@dataclass(frozen=True)
class Entry:
    """A suite in the registry: the `ENTRY` of `jaxemb/evaluation/suites/NAME.py`."""

    name: str
    """NAME."""
    command: Command | None = None
    """None if `jaxemb evaluate` does not offer the suite."""
    in_runs: InRuns | None = None
    """None if the suite scores no runs."""
    order: int = 100
    """Suites are listed by this number, then by name."""
