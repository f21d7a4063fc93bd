"""What a suite is: an object that scores a model, and the entry by which jaxemb finds and offers it."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from jaxemb.config import EvaluationConfig
from jaxemb.evaluation.pools import EncodeFns
from jaxemb.evaluation.report import Report


@runtime_checkable
class Suite(Protocol):
    """Scores a model on texts that it was made with: a test set with its settings."""

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """Scores the model behind `encode_fn`.

        Args:
          encode_fn: texts to embeddings, any norm. Of two functions the first embeds anchors and the second positives.

        Raises:
          UserError: if a file is missing or malformed, or an embedding is not finite.
        """

    def baseline(self) -> Report | None:
        """What counting characters reaches on the same texts (TF-IDF); None if the suite has no such baseline."""


@dataclass(frozen=True)
class Flag:
    """A flag of `jaxemb evaluate` that only some suites have. It is None where it is not given."""

    name: str
    """`--split`."""
    has: str
    """Ends the error `--split: only the suite sts has ...`, which a suite without the flag gives."""
    help: str
    """Text for `--help`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `argparse.ArgumentParser.add_argument`."""

    def value(self, arguments: argparse.Namespace) -> Any:
        """What the user gave."""
        return getattr(arguments, self.name.lstrip("-").replace("-", "_"))


@dataclass(frozen=True)
class Command:
    """What `jaxemb evaluate --suite NAME` needs of a suite."""

    about: str
    """One line for the head of `--help`: which question the suite answers. Suites may share it."""
    files: str
    """Text for the end of `--help`, in lines of up to 108 characters: what `--data` must name."""
    suite_of: Callable[[argparse.Namespace], Suite]
    """Makes the suite of `data` (a list of paths) and the suite's flags. Raises UsageError where they do not fit."""
    flags: tuple[Flag, ...] = ()
    """Flags of this suite. Suites may share one."""


def no_note(report: Report, config: EvaluationConfig) -> str:
    """Nothing."""
    return ""


@dataclass(frozen=True)
class InRuns:
    """What a run needs of a suite that scores it."""

    key: str
    """Key of the suite in `results.json`."""
    report_of: Callable[[Mapping[str, Any]], Report]
    """Makes the report of its `values` again."""
    card_note: Callable[[Report, EvaluationConfig], str] = no_note
    """What the model card says of the scores, by one of the reports and the run's `evaluation`."""
    whole_embeddings: bool = False
    """Whether the suite needs the embeddings before `model.truncate_dim` cuts them."""


@dataclass(frozen=True)
class Entry:
    """A suite in the registry: `ENTRY` of `jaxemb/evaluation/suites/NAME.py`."""

    name: str
    """NAME."""
    command: Command | None = None
    """None if `jaxemb evaluate` does not offer the suite."""
    in_runs: InRuns | None = None
    """None if no run is scored by the suite."""
    order: int = 100
    """Where it stands among the suites; those of the same order stand by name."""
