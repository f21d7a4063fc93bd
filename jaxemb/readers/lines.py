"""Lines of UTF-8 text, plain or compressed. Bad lines are marked or refused; errors name unreadable files."""

import dataclasses
from collections.abc import Iterator
from pathlib import PurePath

from jaxemb.errors import UserError
from jaxemb.readers.compression import opened, plain_name
from jaxemb.readers.locations import Location
from jaxemb.readers.other_formats import SIGNATURE_BYTES, other_format

MAX_LINE_BYTES = 1 << 20
"""A longer line is malformed; memory never holds more of it than this."""


@dataclasses.dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read."""

    line: int
    reason: str
    content: str
    """The beginning of the line, as read."""


def uncompressed_suffix(path: Location) -> str:
    """The suffix of a file's name, without that of its compression.

    >>> from pathlib import Path
    >>> uncompressed_suffix(Path("snli.jsonl.gz"))
    '.jsonl'
    """
    return PurePath(plain_name(path.name)).suffix


def read_lines(path: Location, *, may_be_empty: bool = False) -> Iterator[str | BadLine]:
    """Yields each line without its end (LF or CRLF), or a `BadLine` if it is not UTF-8, has a NUL byte or is too long.

    Compressed files are recognised by their first bytes, not by their names. A byte-order mark is dropped.

    Raises:
      UserError: if the file is missing, empty (unless it may be), truncated, corrupt, changed meanwhile, or of another
        format, such as UTF-16, Parquet or XML (`other_format`).
    """
    number = 0
    with opened(path) as file:
        start = file.peek(SIGNATURE_BYTES)[:SIGNATURE_BYTES]
        if what := other_format(start):
            raise UserError(f"{path}: {what}")
        # The limit bounds the memory for a "line" of a binary file.
        while data := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            yield _decode(data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data, number)
            while len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
                data = file.readline(MAX_LINE_BYTES + 1)
    if not number and not may_be_empty:
        raise UserError(f"{path}: the file is empty; leave it out or fetch it again")


def read_good_lines(path: Location, *, may_be_empty: bool = False) -> Iterator[str]:
    """Yields the lines like `read_lines`, but refuses bad ones, so that line N stays line N.

    Raises:
      UserError: as `read_lines`, and for a bad line.
    """
    for line in read_lines(path, may_be_empty=may_be_empty):
        if isinstance(line, BadLine):
            raise UserError(f"{path}, line {line.line}: {line.reason}; correct or convert the file")
        yield line


def _decode(data: bytes, number: int) -> str | BadLine:
    if len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
        reason = f"longer than {MAX_LINE_BYTES >> 20} MiB"
    elif b"\0" in data:
        reason = "a NUL byte, as in a binary file"
    else:
        try:
            return data.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            reason = f"not UTF-8 at byte {error.start + 1}"
    return BadLine(number, reason, data[:400].decode("utf-8", "backslashreplace"))
