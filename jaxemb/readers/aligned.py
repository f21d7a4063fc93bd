"""Reads aligned text for evaluation. Strict: a malformed file is an error, never a smaller test set."""

import re
from collections.abc import Sequence
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.lines import read_good_lines

_TSV = (".tsv", ".tsv.gz")
_MOSES_NAME = re.compile(
    r"(?:.*\.)?(?P<first>[A-Za-z0-9_-]+?)-(?P<second>[A-Za-z0-9_]+)\.(?P<side>[A-Za-z0-9_-]+?)(\.gz)?"
)


def read_moses(anchor_path: Path, positive_path: Path) -> tuple[list[str], list[str]]:
    """Both sides of two aligned files: line N of one translates line N of the other.

    Raises:
      UserError: if a file cannot be read or is empty, or their numbers of lines differ.
    """
    anchors, positives = list(read_good_lines(anchor_path)), list(read_good_lines(positive_path))
    if len(anchors) != len(positives):
        raise UserError(
            f"{anchor_path} has {len(anchors)} lines but {positive_path} has {len(positives)}: "
            "line N of one must translate line N of the other"
        )
    return anchors, positives


def read_tsv(path: Path, anchor_column: int = 0, positive_column: int = 1) -> tuple[list[str], list[str]]:
    """Two columns (counted from 0) of a tab-separated file without a header, plain or `.gz`.

    Raises:
      UserError: if the file cannot be read or is empty, or a line has too few columns.
    """
    anchors, positives = [], []
    for number, line in enumerate(read_good_lines(path), start=1):
        cells = line.split("\t")
        if len(cells) <= max(anchor_column, positive_column):
            raise UserError(
                f"{path}, line {number}: {len(cells)} column(s), but columns {anchor_column} and {positive_column} "
                f"(counted from 0) are needed: {line[:80]!r}"
            )
        anchors.append(cells[anchor_column])
        positives.append(cells[positive_column])
    return anchors, positives


def find_aligned(paths: Sequence[Path]) -> list[tuple[str, Path, Path | None]]:
    """Resolves the user's paths into aligned sets: (name, TSV file, None) or (name, first side, second side).

    A directory means its `.tsv` and `.tsv.gz` files and its pairs of files with OPUS's names (`NAME.de-en.de`,
    `NAME.de-en.en`). A `.tsv` or `.tsv.gz` file is one set. Other files come in pairs: first side, second side.

    Raises:
      UserError: if a path is missing, a directory has no such files, or a file lacks its other side.
    """
    sets: list[tuple[str, Path, Path | None]] = []
    single: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = _in_directory(path)
            if not found:
                raise UserError(f"{path}: holds no .tsv or .tsv.gz and no pair of files such as NAME.de-en.{{de,en}}")
            sets += found
        elif not path.exists():
            raise UserError(f"{path}: there is no such file or directory")
        elif path.name.endswith(_TSV):
            sets.append((_stem(path), path, None))
        else:
            single.append(path)
    if len(single) % 2:
        raise UserError(f"{single[-1]}: aligned text files come in pairs (first side, second side)")
    sets += [
        (f"{first.name} - {second.name}", first, second)
        for first, second in zip(single[::2], single[1::2], strict=True)
    ]
    return sets


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".tsv")


def _in_directory(folder: Path) -> list[tuple[str, Path, Path | None]]:
    """The aligned sets of a directory, by name."""
    sets: list[tuple[str, Path, Path | None]] = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if path.name.endswith(_TSV):
            sets.append((_stem(path), path, None))
            continue
        match = _MOSES_NAME.fullmatch(path.name)
        if match is None or match["side"] not in (match["first"], match["second"]):
            continue
        prefix = path.name.removesuffix(".gz").removesuffix(match["side"])
        first, second = (_plain_or_gz(folder / (prefix + match[side])) for side in ("first", "second"))
        if path == first or not first.exists():
            sets.append((prefix.removesuffix("."), first, second))
    return sets


def _plain_or_gz(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    return packed if packed.exists() and not path.exists() else path
