"""What every kind of source is cut into."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxemb.data.records import Record
from jaxemb.data.report import Skipped
from jaxemb.text_files import BadLine


@dataclasses.dataclass(frozen=True)
class SourcePart:
    """One file (or aligned pair of files) of a source."""

    name: str
    """The file as messages name it."""
    paths: tuple[Path, ...]
    """The files that are read; when one changes, the cache is stale."""
    source: str
    """The source as reports name it (`Django 5.2`, `bitext/en-*.tsv.gz`)."""
    licence: str | None
    """Licence, where it is known."""
    read: Callable[[], Iterator[Record | BadLine | Skipped]]
    """Yields what is in it, from the beginning."""
