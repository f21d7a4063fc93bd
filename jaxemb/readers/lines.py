"""Lines of plain or gzipped UTF-8 text. Bad lines are marked or refused; errors name unreadable files."""

import dataclasses
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from jaxemb.errors import UserError
from jaxemb.readers.other_formats import SIGNATURE_BYTES, other_format

MAX_LINE_BYTES = 1 << 20
"""A longer line is malformed; memory never holds more of it than this."""

_GZIP = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read."""

    line: int
    reason: str
    content: str
    """The beginning of the line, as read."""


def uncompressed_suffix(path: Path) -> str:
    """The suffix of a file's name, without `.gz`.

    >>> uncompressed_suffix(Path("snli.jsonl.gz"))
    '.jsonl'
    """
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix


def read_lines(path: Path, *, may_be_empty: bool = False) -> Iterator[str | BadLine]:
    """Yields each line without its end (LF or CRLF), or a `BadLine` if it is not UTF-8, has a NUL byte or is too long.

    Gzipped files are recognised by their first bytes, not by their name. A byte-order mark is dropped.

    Raises:
      UserError: if the file is missing, empty (unless it may be), truncated, corrupt, or of another format, such as
        UTF-16, xz or XML (`other_format`).
    """
    try:
        with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP else raw as file:
            if what := other_format(file.peek(SIGNATURE_BYTES)[:SIGNATURE_BYTES]):
                raise UserError(f"{path}: {what}")
            number = 0
            # The limit bounds the memory for a "line" of a binary file.
            while data := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                yield _decode(data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data, number)
                while len(data) > MAX_LINE_BYTES and not data.endswith(b"\n"):
                    data = file.readline(MAX_LINE_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: the gzip file is truncated or corrupt ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not number and not may_be_empty:
        raise UserError(f"{path}: the file is empty; leave it out or fetch it again")


def read_good_lines(path: Path, *, may_be_empty: bool = False) -> Iterator[str]:
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
