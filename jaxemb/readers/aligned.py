"""Reads aligned text for evaluation. Strict: a malformed file is an error, never a smaller test set."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxemb.errors import UserError
from jaxemb.readers.compression import ENDING, ENDINGS, plain_name
from jaxemb.readers.lines import read_good_lines
from jaxemb.readers.sides import SideTally
from jaxemb.readers.splits import SplitTally, split_column
from jaxemb.readers.tables import TAB, choose_column, first_row, read_good_rows, read_header

PAIR_NAME = re.compile(r"[A-Za-z]{2,3}-(?P<language>[A-Za-z0-9_-]+)\.(?P<kind>tsv|txt)" + ENDING)
"""Name of a file of pairs, `en-de.tsv.gz`: the second language is that of the translations."""
_MOSES_NAME = re.compile(
    r"(?:.*\.)?(?P<first>[A-Za-z0-9_-]+?)-(?P<second>[A-Za-z0-9_]+)\.(?P<side>[A-Za-z0-9_-]+?)" + ENDING
)


class AlignedColumns(NamedTuple):
    """Both sides of a table: row N of one translates row N of the other."""

    anchors: list[str]
    positives: list[str]
    empty_lines: int
    """Lines that were skipped."""


def read_moses(anchor_path: Path, positive_path: Path) -> tuple[list[str], list[str]]:
    """Both sides of two aligned files: line N of one translates line N of the other.

    Empty lines at the end of one side are left out.

    Raises:
      UserError: if a file cannot be read or is empty, their numbers of lines differ, or nearly all pairs have an empty
        side.
    """
    anchors, positives = list(read_good_lines(anchor_path)), list(read_good_lines(positive_path))
    both = min(len(anchors), len(positives))
    if any(line.strip() for line in (*anchors[both:], *positives[both:])):
        raise UserError(
            f"{anchor_path} has {len(anchors)} lines but {positive_path} has {len(positives)}: "
            "line N of one must translate line N of the other"
        )
    anchors, positives = anchors[:both], positives[:both]
    sides = SideTally(anchor_path, f"look at it and at {positive_path}")
    for anchor, positive in zip(anchors, positives, strict=True):
        sides.add(anchor, positive)
    sides.check()
    return anchors, positives


def read_tsv(
    path: Path,
    anchor_column: int | str = 0,
    positive_column: int | str = 1,
    *,
    header: bool = False,
    splits: SplitTally | None = None,
) -> AlignedColumns:
    """Two columns of a tab-separated file, or of a CSV with a header, plain or compressed.

    Empty lines are skipped and counted.

    Args:
      path: the file.
      anchor_column: number, counted from 0, or name in the header.
      positive_column: likewise.
      header: whether the first line names the columns; it does if a column is given by its name.
      splits: takes rows and counts those that it does not take, if the header has a column of splits.

    Raises:
      UserError: if the file cannot be read or is empty, a line has too few columns, the header lacks a column, or what
        is in the columns is no text; see `SideTally`.
    """
    columns = anchor_column, positive_column
    named = [isinstance(column, str) for column in columns]
    delimiter, names = read_header(path, columns) if header or any(named) else (TAB, None)
    anchor = choose_column(names, anchor_column, "--anchor-column", path)
    positive = choose_column(names, positive_column, "--positive-column", path)
    sides = SideTally(path, "choose other columns with --anchor-column and --positive-column", by_name=all(named))
    anchors: list[str] = []
    positives: list[str] = []
    empty_lines = 0
    split: int | None = None
    looked = names is None
    rows = read_good_rows(path, delimiter)
    if names is not None:
        next(rows)
    for row in rows:
        cells = row.cells
        if not row.text.strip(" "):
            empty_lines += 1
            continue
        if len(cells) <= max(anchor, positive):
            raise UserError(
                f"{path}, line {row.line}: {len(cells)} column(s), but columns {anchor} and {positive} "
                f"(counted from 0) are needed: {row.text[:80]!r}"
            )
        if not looked:
            split, looked = split_column(names or (), cells), True
        if splits is not None and split is not None and not _takes(splits, cells, split):
            continue
        sides.add(cells[anchor], cells[positive], len(cells))
        anchors.append(cells[anchor])
        positives.append(cells[positive])
    if splits is not None:
        splits.check(path, "choose with --split")
    sides.check()
    if empty_lines and not anchors:
        raise UserError(f"{path}: all {empty_lines} lines are empty; leave it out or fetch it again")
    return AlignedColumns(anchors, positives, empty_lines)


def _takes(splits: SplitTally, cells: Sequence[str], column: int) -> bool:
    return splits.takes(cells[column] if column < len(cells) else "")


def find_aligned(paths: Sequence[Path], *, csv: bool = False) -> list[tuple[str, Path, Path | None]]:
    """Resolves the user's paths into aligned sets: (name, TSV file, None) or (name, first side, second side).

    A directory means its `.tsv` files and its pairs of files with OPUS's names (`NAME.de-en.de`, `NAME.de-en.en`). A
    `.tsv` file is one set, and so is `en-de.txt` if its lines have tabs. Other files come in pairs: first side, second
    side. Each may be compressed (`.gz`, `.bz2`, `.xz`, `.zst`, `.zip`).

    Args:
      paths: files and directories.
      csv: whether a `.csv` file is a set, too.

    Raises:
      UserError: if a path is missing, a directory has no such files, or a file lacks its other side.
    """
    sets: list[tuple[str, Path, Path | None]] = []
    single: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = _in_directory(path, csv)
            if not found:
                raise UserError(f"{path}: holds no .tsv or .tsv.gz and no pair of files such as NAME.de-en.{{de,en}}")
            sets += found
        elif not path.exists():
            raise UserError(f"{path}: there is no such file or directory")
        elif _is_table(path, csv):
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


def _is_table(path: Path, csv: bool) -> bool:
    """Whether a file has both sides: by its name, as in training."""
    if plain_name(path.name).endswith((".tsv", ".csv") if csv else ".tsv"):
        return True
    return bool(PAIR_NAME.fullmatch(path.name)) and path.stat().st_size > 0 and len(first_row(path, TAB)) > 1


def _stem(path: Path) -> str:
    return re.sub(r"\.(tsv|csv|txt)$", "", plain_name(path.name))


def _in_directory(folder: Path, csv: bool) -> list[tuple[str, Path, Path | None]]:
    """The aligned sets of a directory, by name."""
    sets: list[tuple[str, Path, Path | None]] = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if _is_table(path, csv):
            sets.append((_stem(path), path, None))
            continue
        match = _MOSES_NAME.fullmatch(path.name)
        if match is None or match["side"] not in (match["first"], match["second"]):
            continue
        prefix = plain_name(path.name).removesuffix(match["side"])
        first, second = (_plain_or_packed(folder / (prefix + match[side])) for side in ("first", "second"))
        if path == first or not first.exists():
            sets.append((prefix.removesuffix("."), first, second))
    return sets


def _plain_or_packed(path: Path) -> Path:
    names = (path.with_name(path.name + ending) for ending in ("", *ENDINGS))
    return next((name for name in names if name.exists()), path)
