"""The suite `parallel`: retrieval accuracy on any aligned files."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxemb.evaluation.pools import EncodeFns, Pool, score_pools
from jaxemb.evaluation.report import Report
from jaxemb.evaluation.retrieval_report import PairAccuracy, RetrievalReport, macro_average
from jaxemb.evaluation.suite import SPLIT, Command, Entry, Flag
from jaxemb.readers.aligned import find_aligned, read_moses, read_tsv
from jaxemb.readers.splits import SplitTally


def parallel(
    encode_fn: EncodeFns,
    paths: Sequence[Path],
    *,
    anchor_column: int | str = 0,
    positive_column: int | str = 1,
    header: bool = False,
    split: str = "test",
) -> RetrievalReport:
    """Accuracy in both directions on each aligned set that `paths` name, and their macro average.

    Pairs with an empty side are left out and noted. All other pairs stay: finding another line with the very text
    wanted counts as right.

    Args:
      encode_fn: texts to embeddings; called once a set. Of two functions the first gets the first sides.
      paths: TSV files (or `.gz`), directories, or aligned text files in twos; see `find_aligned`.
      anchor_column: column of the first side in TSV files, counted from 0, or its name in the header.
      positive_column: column of the second side.
      header: whether the first line of TSV files names the columns; it does if a column is given by its name. Then
        CSV files are read, too.
      split: of a file whose header has a column of splits, only these rows are read; the others are noted.

    Raises:
      UserError: if a file is missing, malformed, its sides do not fit, or nearly all its pairs have an empty side.
    """
    scored: list[PairAccuracy] = []
    notes: list[str] = []
    named = header or isinstance(anchor_column, str) or isinstance(positive_column, str)
    for name, first, second in find_aligned(paths, csv=named):
        splits = SplitTally(split)
        empty_lines = 0
        if second is None:
            *sides, empty_lines = read_tsv(first, anchor_column, positive_column, header=header, splits=splits)
        else:
            sides = [*read_moses(first, second)]
        pairs = [(a, p) for a, p in zip(*sides, strict=True) if a.strip() and p.strip()]
        if empty_lines:
            notes.append(f"{name}: {empty_lines} empty {'line' if empty_lines == 1 else 'lines'} skipped")
        if splits.others:
            notes.append(f"{name}: the rows of other splits are left out ({splits.described()})")
        if len(pairs) < len(sides[0]):
            notes.append(f"{name}: {len(sides[0]) - len(pairs)} of {len(sides[0])} pairs with an empty side left out")
        if pairs:
            anchors, positives = zip(*pairs, strict=True)
            scored += score_pools(encode_fn, [Pool(name, anchors, positives)])
    scored.sort(key=lambda pair: pair.name)
    averages = tuple(macro_average("all", scored))
    return RetrievalReport("parallel", ("first->second", "second->first"), tuple(scored), averages, tuple(notes))


@dataclass(frozen=True)
class Parallel:
    """The suite on the files that `paths` name; the fields are arguments of `parallel`."""

    paths: Sequence[Path]
    anchor_column: int | str = 0
    positive_column: int | str = 1
    header: bool = False
    split: str = "test"

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """As `parallel`."""
        return parallel(
            encode_fn,
            self.paths,
            anchor_column=self.anchor_column,
            positive_column=self.positive_column,
            header=self.header,
            split=self.split,
        ).report()

    def baseline(self) -> None:
        """There is none."""


def _number_or_name(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


_ANCHOR = Flag(
    "--anchor-column",
    has="columns to choose from",
    help="column of the first side in a .tsv: a number from 0 (default: 0), or a name in the header",
    settings={"metavar": "COLUMN", "type": _number_or_name},
)
_POSITIVE = Flag(
    "--positive-column",
    has="columns to choose from",
    help="column of the second side: a number from 0 (default: 1), or a name in the header",
    settings={"metavar": "COLUMN", "type": _number_or_name},
)
_HEADER = Flag(
    "--header",
    has="files with a header",
    help="the first line of a .tsv names its columns; implied if a column is given by name",
    settings={"action": "store_true", "default": None},
)
_FILES = """\
DIR is a .tsv (or .gz) file, a folder of them, or of two aligned text files; several paths may follow.
Columns 0 and 1 of a .tsv are compared. WikiMatrix: --anchor-column 1 --positive-column 2; ted2020.tsv.gz:
--anchor-column en --positive-column de. With a header or columns by name, .csv files are read, too, and
of rows that name their split those of --split"""


def _suite_of(arguments: argparse.Namespace) -> Parallel:
    anchor, positive = _ANCHOR.value(arguments), _POSITIVE.value(arguments)
    return Parallel(
        arguments.data,
        0 if anchor is None else anchor,
        1 if positive is None else positive,
        bool(_HEADER.value(arguments)),
        SPLIT.value(arguments) or "test",
    )


ENTRY = Entry(
    "parallel",
    Command(
        about="Retrieval: for each sentence, is its translation the nearest one?",
        files=_FILES,
        suite_of=_suite_of,
        flags=(_ANCHOR, _POSITIVE, _HEADER, SPLIT),
    ),
    order=2,
)
