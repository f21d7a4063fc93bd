"""Cross-lingual STS: sentence 1 in one language, sentence 2 in another, out of aligned files of single languages."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.language_tags import language_tag
from jaxemb.readers.compression import ENDING
from jaxemb.readers.sts import StsPairs, read_sts
from jaxemb.readers.sts_files import SPLITS, named

_NAME = r"(?:stsb[.-])?(?P<language>\w+)[.-](?:{})\.csv"


def cross_lingual(
    paths: Sequence[Path], split: str, language_pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], StsPairs]:
    """For each pair of languages the first sentences of the one's file with the second sentences of the other's.

    The cross-lingual tracks of STS 2017 (Cer et al. 2017) are such sets; here they come out of a test set that was
    translated row by row, such as STSb-multi-mt. A language may be paired with itself.

    Args:
      paths: folders, of which `LANG.SPLIT.csv` are taken, plain or compressed, and files of such names, of any split.
      split: `train`, `dev` or `test`.
      language_pairs: languages, by any of their names (`language_tag`); a pair that is given twice counts once.

    Raises:
      UserError: if a path is missing, a folder has no such file, a language has none or two, a file is malformed, or
        two files have not the same number of rows and the same scores.
    """
    files = _language_files(paths, split)
    language_pairs = [(_tag(first), _tag(second)) for first, second in language_pairs]
    languages = dict.fromkeys(language for pair in language_pairs for language in pair)
    for language in languages:
        if language not in files:
            near = difflib.get_close_matches(language, files, n=1, cutoff=0.0)[0]
            raise UserError(
                f"unknown language {language!r}: did you mean {near!r}? There are files of {', '.join(sorted(files))}"
            )
    read = {language: read_sts(files[language], split) for language in languages}
    return {(a, b): _crossed(read[a], read[b]) for a, b in language_pairs}


def _language_files(paths: Sequence[Path], split: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or directory")
        found = named(path, _NAME.format(split)) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path}: holds no LANG.{split}.csv (or .gz), of which pairs of languages are made")
        for file in found:
            match = re.fullmatch(_NAME.format("|".join(SPLITS)) + ENDING, file.name)
            if match is None:
                raise UserError(f"{file}: pairs of languages are made of files named LANG.{split}.csv (or .gz)")
            other = files.setdefault(_tag(match["language"]), file)
            if other.resolve() != file.resolve():
                raise UserError(f"{other} and {file} are both {_tag(match['language'])}: name one of them")
    return files


def _tag(name: str) -> str:
    return language_tag(name) or name


def _crossed(first: StsPairs, second: StsPairs) -> StsPairs:
    aligned = "row N of one must translate row N of the other"
    if len(first.scores) != len(second.scores):
        raise UserError(
            f"{first.source} has {len(first.scores)} pairs but {second.source} has {len(second.scores)}: {aligned}"
        )
    if first.rows != second.rows:
        row = min(set(first.rows) ^ set(second.rows))
        raise UserError(f"{first.source} and {second.source}: pair {row} has a score in only one of them: {aligned}")
    for row, one, other in zip(first.rows, first.scores, second.scores, strict=True):
        if one != other:
            raise UserError(
                f"{first.source} and {second.source}: pair {row} has the score {one:g} in one and {other:g} in the "
                f"other: {aligned}"
            )
    source = first.source if first is second else f"{first.source} with {second.source}"
    return replace(first, source=source, second=second.second)
