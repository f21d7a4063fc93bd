"""Records with named fields in Parquet and Arrow files. A large file has several parts, so that processes share it."""

import functools
from collections.abc import Iterator

from jaxemb.config import ParquetSource
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.jsonl import examples
from jaxemb.data.sources.keyed import columns
from jaxemb.data.sources.part import SourcePart, matching_files
from jaxemb.data.sources.rows import RowChoice
from jaxemb.readers.columnar import Groups, read_columns, row_groups
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import Location, state
from jaxemb.readers.splits import LANGUAGE, SPLIT_NAMES

PART_BYTES = 256 << 20
"""A file of more bytes than this has several parts."""
_PART_ROWS = 1_000_000


def parts(config: ParquetSource, root: str | None) -> list[SourcePart]:
    """The files, or of large files groups of row groups, by name.

    Raises:
      UserError: if nothing matches, or a large file is truncated or corrupt.
    """
    found = []
    for path in matching_files(config.path, root, "parquet"):
        large = state(path)[1] > PART_BYTES
        for groups in row_groups(path, _PART_ROWS) if large else (None,):
            name = str(path) if groups is None else f"{path}, from row {groups.row + 1}"
            read = functools.partial(_read, path, config, groups)
            found.append(SourcePart(name, (path,), config.path, config.licence, read))
    return found


def _read(
    path: Location, config: ParquetSource, groups: Groups | None
) -> Iterator[Record | Alternatives | BadLine | Skipped]:
    choice = RowChoice(path, config.split, config.language, config.language_key)
    wanted = columns(config) | {*SPLIT_NAMES, *LANGUAGE}
    records = (
        item if isinstance(item, BadLine) else (item[0], "", item[1]) for item in read_columns(path, wanted, groups)
    )
    yield from examples(records, path, config, choice)
    if groups is None:  # some row groups may well be of another split or language
        choice.check()
