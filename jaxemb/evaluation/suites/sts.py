"""The suite `sts`: do the cosines of sentence pairs agree with human similarity scores?"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from jaxemb.config import EvaluationConfig
from jaxemb.config.training import split_language_pair
from jaxemb.errors import UsageError
from jaxemb.evaluation.baselines import tfidf_encode
from jaxemb.evaluation.correlation import check_spread, correlations, cosine
from jaxemb.evaluation.pools import EncodeFns, embed_sides
from jaxemb.evaluation.report import Report
from jaxemb.evaluation.sts_report import StsReport, StsScore, sts_report_from_json
from jaxemb.evaluation.suite import SPLIT, Command, Entry, Flag, InRuns
from jaxemb.readers.sts import StsPairs
from jaxemb.readers.sts_sets import StsSetPairs, read_sts_sets

PUBLISHED_PAIRS = {"STS12": 3108, "STS13": 1500, "STS14": 3750, "STS15": 3000, "STS16": 1186}
"""Pairs of each year's test set in published results (SentEval, Conneau & Kiela 2018)."""


def sts(
    encode_fn: EncodeFns,
    paths: Sequence[Path],
    *,
    split: str = "test",
    language_pairs: Sequence[tuple[str, str]] | None = None,
) -> StsReport:
    """Spearman and Pearson correlation, x 100, of the cosine with the gold score, on each set that `paths` name.

    A year of SemEval is one set: the pairs of all its files are put together before they are correlated ("all" in
    SimCSE, Gao et al. 2021), which is not the mean over its files. The report has each file's own correlation, too.

    Args:
      encode_fn: texts to embeddings, any norm; called once with all distinct texts. Of two functions the first gets
        the first sentences and the other the second ones.
      paths: folders, of which the files of `split` are taken (see `find_sts`), and files, each a set of its own,
        taken as they are. See `read_sts` for the formats. A file that is named twice counts once.
      split: `train`, `dev` or `test`; also of the rows of a file with a column of splits.
      language_pairs: with these, the sets are cross-lingual instead: `("en", "de")` is the set `en-de` of the first
        sentences of `en.SPLIT.csv` with the second ones of `de.SPLIT.csv`; see `cross_lingual`.

    Raises:
      ValueError: if there is no such split, or no pair in `language_pairs`.
      UserError: if a file is missing or malformed, a folder holds nothing of the kind, an embedding is not finite, or
        all pairs of a file have the same cosine.
    """
    from jaxemb.search import check_finite  # imports jax, which `--help` does not need

    sets = read_sts_sets(paths, split, language_pairs)
    every = [pairs for one in sets for pairs in one.pairs]
    first, second = embed_sides(
        encode_fn, [text for pairs in every for text in pairs.first], [text for pairs in every for text in pairs.second]
    )

    def similarity(pairs: StsPairs) -> Float32[np.ndarray, "N"]:
        a, b = first(pairs.first), second(pairs.second)
        check_finite(np.concatenate([a, b]), f" of {pairs.source}")
        cosines = cosine(a, b)
        check_spread(cosines, pairs.source)
        return cosines

    return _report(sets, split, similarity)


def sts_tfidf(
    paths: Sequence[Path], *, split: str = "test", language_pairs: Sequence[tuple[str, str]] | None = None
) -> StsReport:
    """What counting characters reaches on the same sets: the cosine of `tfidf_encode`, fitted on each file's pairs.

    Raises:
      ValueError, UserError: as `sts`; or if scikit-learn is not installed.
    """

    def similarity(pairs: StsPairs) -> Float32[np.ndarray, "N"]:
        a, b = tfidf_encode(pairs.first, pairs.second)
        return np.asarray(a.multiply(b).sum(axis=1), np.float32).ravel()

    return _report(read_sts_sets(paths, split, language_pairs), split, similarity)


def _report(
    sets: Sequence[StsSetPairs], split: str, similarity: Callable[[StsPairs], Float32[np.ndarray, "N"]]
) -> StsReport:
    scored: list[StsScore] = []
    for one in sets:
        found = [similarity(pairs) for pairs in one.pairs]
        gold = [np.array(pairs.scores) for pairs in one.pairs]
        parts = tuple(_score(*part) for part in zip(one.subsets, found, gold, strict=False))
        scored.append(_score(one.name, np.concatenate(found), np.concatenate(gold), parts))
    notes = tuple(note for one in sets for note in _left_out(one)) + tuple(
        f"{score.name}: {score.n:,} pairs; published scores are over {PUBLISHED_PAIRS[score.name]:,}"
        for score in scored
        if split == "test" and PUBLISHED_PAIRS.get(score.name, score.n) != score.n
    )
    return StsReport(split, tuple(scored), notes)


def _left_out(one: StsSetPairs) -> list[str]:
    """What a set's files have and the score does not count."""
    unscored, scored = sum(pairs.unscored for pairs in one.pairs), sum(len(pairs.scores) for pairs in one.pairs)
    notes = []
    if unscored:
        notes.append(f"{one.name}: {unscored:,} of {unscored + scored:,} pairs have no gold score and are left out")
    if empty := sum(pairs.empty_lines for pairs in one.pairs):
        notes.append(f"{one.name}: {empty} empty {'line' if empty == 1 else 'lines'} skipped")
    if others := ", ".join(pairs.others for pairs in one.pairs if pairs.others):
        notes.append(f"{one.name}: the rows of other splits are left out ({others})")
    return notes


def _score(name: str, cosines: np.ndarray, gold: np.ndarray, subsets: tuple[StsScore, ...] = ()) -> StsScore:
    return StsScore(name, *correlations(cosines, gold), len(gold), subsets)


@dataclass(frozen=True)
class Sts:
    """The suite on the files that `paths` name; the first three fields are arguments of `sts`."""

    paths: Sequence[Path]
    split: str = "test"
    language_pairs: Sequence[tuple[str, str]] | None = None
    alignment: bool = False
    """Whether to log alignment and uniformity of the first file, too."""

    def check(self) -> None:
        """Reads all files.

        Raises:
          UserError: if one is missing or malformed.
        """
        self._read()

    def evaluate(self, encode_fn: EncodeFns) -> Report:
        """As `sts`."""
        report = sts(encode_fn, self.paths, split=self.split, language_pairs=self.language_pairs).report()
        return self._with_alignment(report, encode_fn) if self.alignment else report

    def baseline(self) -> Report:
        """As `sts_tfidf`."""
        return sts_tfidf(self.paths, split=self.split, language_pairs=self.language_pairs).report()

    def _read(self) -> list[StsSetPairs]:
        return read_sts_sets(self.paths, self.split, self.language_pairs)

    def _with_alignment(self, report: Report, encode_fn: EncodeFns) -> Report:
        from jaxemb.evaluation.alignment import alignment_uniformity  # imports jax

        first_file = self._read()[0].pairs[0]
        found = alignment_uniformity(encode_fn if callable(encode_fn) else encode_fn[0], first_file)
        log = report.log
        assert log is not None
        shown = f"{log.shown}, alignment {found.alignment:.3f}, uniformity {found.uniformity:.3f}"
        metrics = {**log.metrics, "alignment": found.alignment, "uniformity": found.uniformity}
        return replace(report, log=replace(log, shown=shown, metrics=metrics))


_FILES = """\
DIR holds folders 2012 ... 2016 of NAME.test.tsv (SemEval: score, sentence, sentence), STS12-en-test of
STS.input.NAME.txt and STS.gs.NAME.txt (SentEval), LANG.test.csv (STSb: sentence, sentence, score),
sts-test.csv (STSbenchmark), stsbenchmark.tsv, dev.tsv (GLUE), SICK_test*.txt, SICK.txt, or is such a file
or a table with a header (sentence1, sentence2, score); each may be .gz; several paths may follow.
Pairs without a score are left out and counted. Of a file whose rows name their split, --split chooses.
With --language-pairs the sets are made of the LANG.test.csv: en-de takes sentence 1 from en's file and
sentence 2 from de's, which must be translated row by row (STSb-multi-mt)"""
_LANGUAGE_PAIRS = Flag(
    "--language-pairs",
    has="pairs of languages",
    help="cross-lingual sets, such as en-de, instead of those of one language",
    settings={"metavar": "LANG-LANG", "nargs": "+"},
)


def _suite_of(arguments: argparse.Namespace) -> Sts:
    try:
        pairs = [split_language_pair("--language-pairs", pair) for pair in _LANGUAGE_PAIRS.value(arguments) or ()]
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Sts(arguments.data, SPLIT.value(arguments) or "test", pairs or None)


def _card_note(report: Report, config: EvaluationConfig) -> str:
    return f"STS: Spearman correlation of cosine and gold score, x 100, on the split {report.result.split}."


ENTRY = Entry(
    "sts",
    Command(
        about="STS: do the cosines of sentence pairs agree with human similarity scores?",
        files=_FILES,
        suite_of=_suite_of,
        flags=(SPLIT, _LANGUAGE_PAIRS),
    ),
    InRuns(
        key="sts", always=True, report_of=lambda values: sts_report_from_json(values).report(), card_note=_card_note
    ),
    order=3,
)
