"""The sentence pairs of STS test sets: of one language, or cross-lingual."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxemb.readers.sts import StsPairs, read_sts, read_sts_by_language
from jaxemb.readers.sts_files import SPLITS, StsSet, find_sts
from jaxemb.readers.sts_languages import cross_lingual


@dataclass(frozen=True, slots=True)
class StsSetPairs:
    """The pairs of a set, whose files are correlated together."""

    name: str
    """Its name; see `find_sts`. `en-de` for a cross-lingual set."""
    pairs: tuple[StsPairs, ...]
    """Those of each of its files."""
    subsets: tuple[str, ...] = ()
    """Names of these files; none for a single one."""


def read_sts_sets(
    paths: Sequence[Path], split: str, language_pairs: Sequence[tuple[str, str]] | None = None
) -> list[StsSetPairs]:
    """Reads the sets that `paths` name: those of `find_sts`, or with `language_pairs` those of `cross_lingual`.

    Of a file with a column of splits only the rows of `split` are read. A file with a column of languages is a set for
    each language.

    Raises:
      ValueError: if there is no such split, or no pair in `language_pairs`.
      UserError: if a file is missing or malformed, or a folder holds nothing of the kind.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: it must be one of {', '.join(SPLITS)}")
    if language_pairs is None:
        return [pairs for one in find_sts(paths, split) for pairs in _read(one, split)]
    if not language_pairs:
        raise ValueError("language_pairs is empty: name a pair, or leave it out")
    crossed = cross_lingual(paths, split, language_pairs)
    return [StsSetPairs("-".join(languages), (pairs,)) for languages, pairs in crossed.items()]


def _read(one: StsSet, split: str) -> list[StsSetPairs]:
    if one.subsets:
        return [StsSetPairs(one.name, tuple(read_sts(file, split) for file in one.files), one.subsets)]
    return [
        StsSetPairs(one.name if language is None else f"{one.name} ({language})", (pairs,))
        for language, pairs in read_sts_by_language(one.files[0], split).items()
    ]
