"""Parts of a source, and how they are found."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.errors import UserError
from jaxemb.language_tags import language_tag
from jaxemb.readers.aligned import PAIR_NAME
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import Location, find_files, whole_path
from jaxemb.texts import half_characters


@dataclasses.dataclass(frozen=True)
class SourcePart:
    """One file (or aligned pair of files) of a source."""

    name: str
    """The name of the file in messages."""
    paths: tuple[Location, ...]
    """The files that are read; if one changes, the cache is stale."""
    source: str
    """The name of the source in reports (`Django 5.2`, `bitext/en-*.tsv.gz`)."""
    licence: str | None
    """Licence, if known."""
    read: Callable[[], Iterator[Record | Alternatives | BadLine | Skipped]]
    """Yields the contents from the beginning."""


def matching_files(path: str, root: str | None, kind: str, key: str = "path") -> list[Location]:
    """The files that the path, URL or pattern of a source matches, by name.

    Raises:
      UserError: if there is none, a name is not UTF-8, or a store cannot be read.
    """
    files = find_files(path, root)
    if not files:
        raise UserError(
            f"{whole_path(path, root)}: no such file ({key} of a source of kind {kind}; relative paths start from "
            "data.root)"
        )
    for file in files:
        if half_characters(str(file)):  # Python's way to hold bytes that are not UTF-8
            raise UserError(f"{str(file)!a}: the name is not UTF-8; rename the file")
    return files


def language_in_name(path: Location, key: str, *, of_pair: bool) -> str:
    """The language in a file's name: `de` in `en-de.tsv.gz`, a file of pairs, and in `de.txt`.

    Raises:
      UserError: if the name has no language; the message says to set `key` of the source.
    """
    name: str | None = path.name.partition(".")[0]
    if of_pair:
        match = PAIR_NAME.fullmatch(path.name)
        name = match["language"] if match else None
    tag = language_tag(name) if name else None
    if tag is None:
        example = "en-de.tsv.gz" if of_pair else "de.txt.gz"
        raise UserError(f"{path}: the name does not give the language, as {example} does; set {key} of this source")
    return tag


def file_parts(
    config: Any,
    root: str | None,
    read: Callable[[Location, Any], Iterator[Record | Alternatives | BadLine | Skipped]],
) -> list[SourcePart]:
    """One part for each file that `config.path`, a path or a pattern, matches, by name; `read` gets file and config.

    Raises:
      UserError: if nothing matches.
    """
    return [
        SourcePart(str(path), (path,), config.path, config.licence, functools.partial(read, path, config))
        for path in matching_files(config.path, root, config.kind)
    ]
