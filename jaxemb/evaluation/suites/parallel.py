"""The suite `parallel`: retrieval accuracy on any aligned files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxemb.evaluation.pools import EncodeFns, Pool, score_pools
from jaxemb.evaluation.report import Report
from jaxemb.evaluation.retrieval_report import PairAccuracy, RetrievalReport, macro_average
from jaxemb.evaluation.suite import Command, Entry
from jaxemb.readers.aligned import find_aligned, read_moses, read_tsv


def parallel(
    encode_fn: EncodeFns, paths: Sequence[Path], *, anchor_column: int = 0, positive_column: int = 1
) -> RetrievalReport:
    """Accuracy in both directions on each aligned set that `paths` name, and their macro average.

    Pairs with an empty side are left out and noted. All other pairs stay: finding another line with the very text
    wanted counts as right.

    Args:
      encode_fn: texts to embeddings; called once a set. Of two functions the first gets the first sides.
      paths: TSV files (or `.gz`), directories, or aligned text files in twos; see `find_aligned`.
      anchor_column: column of the first side in TSV files, counted from 0.
      positive_column: column of the second side.

    Raises:
      UserError: if a file is missing, malformed, or its sides do not fit.
    """
    scored: list[PairAccuracy] = []
    notes: list[str] = []
    for name, first, second in find_aligned(paths):
        sides = read_tsv(first, anchor_column, positive_column) if second is None else read_moses(first, second)
        pairs = [(a, p) for a, p in zip(*sides, strict=True) if a.strip() and p.strip()]
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
    """The suite on the files that `paths` name; see `parallel`."""

    paths: Sequence[Path]

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """As `parallel`."""
        return parallel(encode_fn, self.paths).report()

    def baseline(self) -> None:
        """There is none."""


ENTRY = Entry(
    "parallel",
    Command(
        about="Retrieval: for each sentence, is its translation the nearest one?",
        files="DIR is a .tsv (or .gz) file, a folder of them, or of two aligned text files; several paths may follow",
        suite_of=lambda arguments: Parallel(arguments.data),
    ),
    order=2,
)
