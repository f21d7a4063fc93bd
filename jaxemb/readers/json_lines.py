"""Files with a JSON value per line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxemb.readers.lines import BadLine, read_lines
from jaxemb.texts import half_characters

_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of a surrogate pair, as JSON writes it."""


def read_json_lines(path: Path) -> Iterator[tuple[int, str, Any] | BadLine]:
    """Yields the number, the text and the JSON value of each line, or a `BadLine`.

    Raises:
      UserError: as `read_lines`.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            value = json.loads(line)
        except ValueError:
            yield BadLine(number, "not JSON", line)
            continue
        if _ESCAPED.search(line) and half_characters(json.dumps(value, ensure_ascii=False)):
            yield BadLine(number, "half of a character, which is no valid Unicode", line)
        else:
            yield number, line, value
