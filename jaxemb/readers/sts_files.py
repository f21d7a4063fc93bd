"""Finding STS test sets among the files and folders that the user named."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.compression import ENDING, plain_name
from jaxemb.readers.sts_layouts import has_sts_header

SPLITS = {"train": "train", "dev": "trial", "test": "test"}
"""The splits, and what SICK calls them."""
_YEAR = re.compile(r"20\d\d")
_SENTEVAL = re.compile(r"STS(?:20)?(?P<year>\d\d)(?:\W.*)?")


@dataclass(frozen=True, slots=True)
class StsSet:
    """Files whose pairs are correlated together."""

    name: str
    """`STS12` for the year 2012 of SemEval, else the file's name without its endings."""
    files: tuple[Path, ...]
    """The files, sorted: those of a year, or a single one."""
    subsets: tuple[str, ...] = ()
    """Names of a year's files; none for a single file."""


def find_sts(paths: Sequence[Path], split: str) -> list[StsSet]:
    """Resolves what the user named into sets: those of `split` in a folder, a file as it is; each once, in order.

    What a folder is searched for, plain or compressed (of both, the plain file is taken):
    - `2012/NAME.SPLIT.tsv` and so on for other years: one set of all files of the year. The folder may itself be one.
    - `STS12-en-test/STS.input.NAME.txt` and so on, with `STS.gs.NAME.txt` (SentEval): likewise. All are of the split
      test, unless the folder's name says `train` or `trial`.
    - `LANG.SPLIT.csv`: a set of its own; `SPLIT.tsv` (GLUE) and `sts-SPLIT.tsv` (KorSTS) likewise, if the header names
      sentences and a score.
    - `SICK_train*.txt`, `SICK_trial*.txt` (split dev), `SICK_test*.txt`: a set of its own.
    - `stsbenchmark.tsv` and `SICK.txt`, whose rows name their splits: a set of its own, unless the split has a file.

    Sets of the same name in different places get their places' names, too.

    Raises:
      UserError: if a path is missing or a folder holds nothing of the kind.
    """
    sets: dict[tuple[Path, ...], StsSet] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or directory")
        for one in _in_folder(path, split) if path.is_dir() else [StsSet(_stem(path), (path,))]:
            sets.setdefault(tuple(file.resolve() for file in one.files), one)
    count = Counter(one.name for one in sets.values())
    return [one if count[one.name] == 1 else replace(one, name=f"{one.name} ({_place(one)})") for one in sets.values()]


def _in_folder(folder: Path, split: str) -> list[StsSet]:
    if found := _of_split(folder, split):
        return found
    others = [name for name in SPLITS if name != split and _of_split(folder, name)]
    raise UserError(
        f"{folder}: holds nothing of the split {split}: no 2012/NAME.{split}.tsv, no STS12-en-test/"
        f"STS.input.NAME.txt, no LANG.{split}.csv, no {split}.tsv, no stsbenchmark.tsv, no SICK.txt, "
        f"no SICK_{SPLITS[split]}.txt (or .gz)"
        + (f"; there is --split {' and --split '.join(others)}, and a file can be named" if others else "")
    )


def _of_split(folder: Path, split: str) -> list[StsSet]:
    sets = []
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    for year in [folder, *inner]:
        name = year.resolve().name
        if _YEAR.fullmatch(name) and (files := named(year, rf".+\.{split}\.tsv")):
            subsets = tuple(_stem(file).removesuffix(f".{split}") for file in files)
            sets.append(StsSet(f"STS{name[2:]}", tuple(files), subsets))
        elif files := _senteval(year, split):
            subsets = tuple(_stem(file).removeprefix("STS.input.") for file in files)
            match = _SENTEVAL.fullmatch(name)
            year_name = f"STS{match['year'] if match else name[2:]}"
            if year_name not in [one.name for one in sets]:  # a folder 2012 has the same pairs
                sets.append(StsSet(year_name, tuple(files), subsets))
    files = named(folder, rf"(.+[.-])?{split}\.csv")
    files += [file for file in named(folder, rf"(sts-)?{split}\.tsv") if file.stat().st_size and has_sts_header(file)]
    # Of the same pairs, the files of single splits are taken.
    if not named(folder, rf"sts-{split}\.[ct]sv"):
        files += named(folder, r"stsbenchmark\.[ct]sv")
    files += named(folder, rf"SICK_{SPLITS[split]}.*\.txt") or named(folder, r"SICK\.txt")
    return sets + [StsSet(_stem(file), (file,)) for file in files]


def _senteval(folder: Path, split: str) -> list[Path]:
    """The files of sentences in a folder of one year, if the year is of the split."""
    name = folder.resolve().name
    if not (_YEAR.fullmatch(name) or _SENTEVAL.fullmatch(name)):
        return []
    of = next((split for split, word in SPLITS.items() if word in name and word != "test"), "test")
    return named(folder, r"STS\.input\..+\.txt") if of == split else []


def named(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder whose whole name matches, plain or compressed, sorted; of both, the plain one."""
    compiled = re.compile(pattern + ENDING)
    files = sorted(path for path in folder.iterdir() if compiled.fullmatch(path.name) and path.is_file())
    chosen: dict[str, Path] = {}
    for file in files:
        chosen.setdefault(plain_name(file.name), file)  # the plain file comes first
    return list(chosen.values())


def _stem(path: Path) -> str:
    return re.sub(r"\.[a-z]+$", "", plain_name(path.name))


def _place(one: StsSet) -> Path:
    return one.files[0].parent if one.subsets else one.files[0]
