"""Two aligned text files: line N of one translates line N of the other. Empty lines that end only one are skipped."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator

from jaxemb.config import MosesSource
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, matching_files
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine, read_lines
from jaxemb.readers.locations import Location, whole_path


def parts(config: MosesSource, root: str | None) -> list[SourcePart]:
    """A pair of files as a single part.

    Raises:
      UserError: if one of them is missing, or a pattern matches several.
    """
    paths = (
        _one_file(config.anchor_path, root, "anchor_path"),
        _one_file(config.positive_path, root, "positive_path"),
    )
    return [
        SourcePart(
            name=f"{paths[0]} + {paths[1].name}",
            paths=paths,
            source=f"{config.anchor_path} + {config.positive_path}",
            licence=config.licence,
            read=functools.partial(_read, paths[0], paths[1], config),
        )
    ]


def _one_file(path: str, root: str | None, key: str) -> Location:
    files = matching_files(path, root, "moses", key)
    if len(files) > 1:
        raise UserError(f"{whole_path(path, root)}: {len(files)} files match {key} of a source of kind moses; name one")
    return files[0]


def _read(anchor_path: Location, positive_path: Location, config: MosesSource) -> Iterator[Record | BadLine | Skipped]:
    source = f"{config.anchor_path} + {config.positive_path}"
    anchors = positives = 0
    aligned = True
    for anchor, positive in itertools.zip_longest(read_lines(anchor_path), read_lines(positive_path)):
        anchors += anchor is not None
        positives += positive is not None
        if anchor is None or positive is None:
            rest = positive if anchor is None else anchor
            if isinstance(rest, str) and not rest.strip():
                yield Skipped(pair_language(config.anchor_lang, config.positive_lang), "trailing_empty_line")
            else:
                aligned = False  # counted to the end, for the message below
            continue
        if isinstance(bad := anchor if isinstance(anchor, BadLine) else positive, BadLine):
            path = anchor_path if bad is anchor else positive_path
            yield dataclasses.replace(bad, reason=f"in {path.name} {bad.reason}")
        elif isinstance(anchor, str) and isinstance(positive, str):
            yield Record(
                anchor,
                positive,
                anchor_lang=config.anchor_lang,
                positive_lang=config.positive_lang,
                source=source,
                id=f"{anchor_path.name}:{anchors}",
            )
    if not aligned:
        raise UserError(
            f"{anchor_path} has {anchors} lines, {positive_path} has {positives}: aligned files have the same number; "
            "fetch both again or correct anchor_path and positive_path"
        )
