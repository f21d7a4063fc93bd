"""Records with named fields, a JSON object per line."""

from collections.abc import Iterator, Mapping
from typing import Any

from jaxemb.config import JsonlSource, ParquetSource
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record, text_names
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.keyed import example, of_row
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.data.sources.rows import UNKNOWN, RowChoice
from jaxemb.readers.json_lines import is_empty, read_json_lines
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import Location
from jaxemb.readers.splits import LANGUAGE, split_column


def parts(config: JsonlSource, root: str | None) -> list[SourcePart]:
    """The files; see `file_parts`."""
    return file_parts(config, root, _read)


def _read(path: Location, config: JsonlSource) -> Iterator[Record | Alternatives | BadLine | Skipped]:
    choice = RowChoice(path, config.split, config.language, config.language_key)
    yield from examples(read_json_lines(path), path, config, choice)
    choice.check()


def examples(
    items: Iterator[tuple[int, str, Any] | BadLine],
    path: Location,
    config: JsonlSource | ParquetSource,
    choice: RowChoice,
) -> Iterator[Record | Alternatives | BadLine | Skipped]:
    """The examples of a file.

    Args:
      items: its records: number, text for messages, and value.
      path: the file.
      config: says what each field is.
      choice: takes the records of one split and one language.
    """
    for item in items:
        if isinstance(item, BadLine):
            language = pair_language(config.anchor_lang or UNKNOWN, config.positive_lang or UNKNOWN)
            yield Skipped(language, "empty_line") if is_empty(item) else item
            continue
        number, line, values = item
        try:
            fields = _fields(values)
            chosen = choice.of(_split(fields, config), of_row(fields, config, LANGUAGE))
            if isinstance(chosen, Skipped):
                yield chosen
            else:
                yield example(fields, config, config.path, f"{path.name}:{number}", chosen)
        except (OverflowError, TypeError, ValueError) as error:
            yield BadLine(number, str(error), line or str(values))


def _split(fields: Mapping[str, Any], config: JsonlSource | ParquetSource) -> str | None:
    """The split that a line names; None if it names none, or the field is one that the source takes texts from."""
    names = [name for name in fields if isinstance(name, str)]
    column = split_column(names, None)
    if column is None or names[column] in config.keys or not isinstance(fields[names[column]], str):
        return None
    return str(fields[names[column]])


def _fields(values: Any) -> Mapping[str, Any]:
    """The fields of a line. A list of texts has them by position, as in sentence-transformers' training data."""
    if isinstance(values, dict):
        return values
    if not isinstance(values, list) or len(values) < 2:
        raise ValueError("not a JSON object")
    return dict(zip(text_names(len(values)), values, strict=True))
