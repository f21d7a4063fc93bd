"""Files with a JSON value per line."""

import json
import re
from collections.abc import Iterator
from typing import Any

from jaxemb.readers.lines import BadLine, read_lines
from jaxemb.readers.locations import Location
from jaxemb.texts import half_characters

_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of a surrogate pair, as JSON writes it."""
NOT_JSON = "not JSON"
"""Reason of a bad line."""


def read_json_lines(path: Location) -> Iterator[tuple[int, str, Any] | BadLine]:
    """Yields the number, the text and the JSON value of each line, or a `BadLine`.

    Raises:
      UserError: as `read_lines`.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            value = json_value(line)
        except ValueError:
            yield BadLine(number, NOT_JSON, line)
            continue
        if _ESCAPED.search(line) and _has_half_characters(value):
            yield BadLine(number, "half of a character, which is no valid Unicode", line)
        else:
            yield number, line, value


def is_empty(line: BadLine) -> bool:
    """Whether a line that `read_json_lines` refuses is only an empty one."""
    return line.reason == NOT_JSON and not line.content.strip()


def json_value(line: str) -> Any:
    """The JSON value of a line.

    Raises:
      ValueError: if the line is not JSON, or its lists and objects are too deep for Python.
    """
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("lists or objects inside each other, hundreds deep") from None


def _has_half_characters(value: Any) -> bool:
    """Whether any text in the value has one. No recursion: `json_value` takes the depth that Python allows."""
    values = [value]
    while values:
        one = values.pop()
        if isinstance(one, dict):
            values += [*one, *one.values()]
        elif isinstance(one, list):
            values += one
        elif isinstance(one, str) and half_characters(one):
            return True
    return False
