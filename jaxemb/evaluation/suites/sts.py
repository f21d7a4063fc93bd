"""The suite `sts`: does the cosine of two sentences rise with how alike people find them?"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from jaxemb.errors import UserError
from jaxemb.evaluation.baselines import tfidf_encode
from jaxemb.evaluation.pools import EncodeFns, embed_sides
from jaxemb.evaluation.sts_report import StsReport, StsScore
from jaxemb.readers.sts import StsPairs, read_sts
from jaxemb.readers.sts_files import SPLITS, find_sts
from jaxemb.readers.sts_languages import cross_lingual
from jaxemb.search import check_finite

PUBLISHED_PAIRS = {"STS12": 3108, "STS13": 1500, "STS14": 3750, "STS15": 3000, "STS16": 1186}
"""Pairs of each year's test set in published results (SentEval, Conneau & Kiela 2018)."""
_NOISE = 1e-6
"""Cosines of float32 embeddings that lie closer together than this differ by rounding only."""


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
      split: `train`, `dev` or `test`.
      language_pairs: with these, the sets are cross-lingual instead: `("en", "de")` is the set `en-de` of the first
        sentences of `en.SPLIT.csv` with the second ones of `de.SPLIT.csv`; see `cross_lingual`.

    Raises:
      ValueError: if there is no such split, or no pair in `language_pairs`.
      UserError: if a file is missing or malformed, a folder holds nothing of the kind, an embedding is not finite, or
        all pairs of a file have the same cosine.
    """
    sets = _sets(paths, split, language_pairs)
    every = [pairs for *_, files in sets for pairs in files]
    first, second = embed_sides(
        encode_fn, [text for pairs in every for text in pairs.first], [text for pairs in every for text in pairs.second]
    )

    def similarity(pairs: StsPairs) -> Float32[np.ndarray, "N"]:
        a, b = first(pairs.first), second(pairs.second)
        check_finite(np.concatenate([a, b]), f" of {pairs.source}")
        cosines = cosine(a, b)
        _check_spread(cosines, pairs.source)
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

    return _report(_sets(paths, split, language_pairs), split, similarity)


Sets = list[tuple[str, tuple[str, ...], list[StsPairs]]]
"""Name, names of its files where it has several, and their pairs."""


def _sets(paths: Sequence[Path], split: str, language_pairs: Sequence[tuple[str, str]] | None) -> Sets:
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: it must be one of {', '.join(SPLITS)}")
    if language_pairs is None:
        return [(one.name, one.subsets, [read_sts(path) for path in one.files]) for one in find_sts(paths, split)]
    if not language_pairs:
        raise ValueError("language_pairs is empty: name a pair, or leave it out")
    crossed = cross_lingual(paths, split, language_pairs)
    return [("-".join(languages), (), [pairs]) for languages, pairs in crossed.items()]


def _report(sets: Sets, split: str, similarity: Callable[[StsPairs], Float32[np.ndarray, "N"]]) -> StsReport:
    scored: list[StsScore] = []
    for name, subsets, files in sets:
        found = [similarity(pairs) for pairs in files]
        gold = [np.array(pairs.scores) for pairs in files]
        parts = tuple(_score(*part) for part in zip(subsets, found, gold, strict=False))
        scored.append(_score(name, np.concatenate(found), np.concatenate(gold), parts))
    notes = tuple(
        f"{score.name}: {score.n:,} pairs; published scores are over {PUBLISHED_PAIRS[score.name]:,}"
        for score in scored
        if split == "test" and PUBLISHED_PAIRS.get(score.name, score.n) != score.n
    )
    return StsReport(split, tuple(scored), notes)


def _score(name: str, cosines: np.ndarray, gold: np.ndarray, subsets: tuple[StsScore, ...] = ()) -> StsScore:
    return StsScore(name, *correlations(cosines, gold), len(gold), subsets)


def _check_spread(cosines: Float32[np.ndarray, "N"], source: str) -> None:
    if np.ptp(cosines) < _NOISE:
        raise UserError(
            f"{source}: every pair has the cosine {cosines[0]:.6f}, so nothing correlates with them: the model's "
            "embeddings have collapsed; use an earlier checkpoint or train with a lower learning rate"
        )


def correlations(x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> tuple[float, float]:
    """Spearman (average ranks for ties) and Pearson correlation, x 100.

    >>> spearman, pearson = correlations(np.array([0.0, 1.0, 4.0, 9.0]), np.array([0.0, 1.0, 2.0, 3.0]))
    >>> round(spearman, 2), round(pearson, 2)
    (100.0, 95.83)
    """
    from scipy import stats

    x, y = x.astype(np.float64), y.astype(np.float64)
    return 100 * float(stats.spearmanr(x, y).statistic), 100 * float(stats.pearsonr(x, y).statistic)


def cosine(a: Float[np.ndarray, "N E"], b: Float[np.ndarray, "N E"]) -> Float32[np.ndarray, "N"]:
    """Cosine of each row of `a` with the same row of `b`; 0 for a row of zeros.

    Computed in float64, then rounded to float32: all pairs of equal sentences get 1 and share their rank.

    >>> a, b = np.array([[0.1, 0.7], [3.0, 4.0], [0.0, 0.0]]), np.array([[0.1, 0.7], [4.0, -3.0], [1.0, 1.0]])
    >>> cosine(a, b)
    array([1., 0., 0.], dtype=float32)
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return ((a * b).sum(1) / np.maximum(norms, np.finfo(np.float64).tiny)).astype(np.float32)
