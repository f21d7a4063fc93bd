"""One training example, and the names of its texts."""

import dataclasses
import typing


@typing.no_type_check  # the run-time checks of the tests take a millisecond for each
@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One example: a pair of texts, and what some objectives need in addition.

    >>> Record("Save", "Speichern", anchor_lang="en", positive_lang="de").positive
    'Speichern'
    """

    anchor: str
    positive: str
    negatives: tuple[str, ...] = ()
    label: int | None = None
    score: float | None = None
    anchor_lang: str = ""
    positive_lang: str = ""
    source: str = ""
    id: str = ""
    """Where it came from, as `file:line`."""


def text_names(texts: int) -> tuple[str, ...]:
    """The features of this many texts.

    >>> text_names(4)
    ('anchor', 'positive', 'negative', 'negative_1')
    """
    negatives = ("negative" if index == 0 else f"negative_{index}" for index in range(texts - 2))
    return ("anchor", "positive", *negatives)[:texts]
