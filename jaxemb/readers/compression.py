"""Files without their compression, which is recognised by their first bytes, not by their names."""

import bz2
import contextlib
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from jaxemb.errors import UserError
from jaxemb.readers.archives import open_member
from jaxemb.readers.locations import Location, state

ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""What a compressed file's name may have behind its other endings."""
ENDING = r"(?:\.(?:gz|bz2|xz|zst|zip))?"
"""The same as a pattern; it matches an empty text, too."""

# RFC 1952; sourceware.org/bzip2; tukaani.org/xz/xz-file-format.txt; RFC 8878, whose frames may begin with a skippable
# one (pzstd); PKWARE's APPNOTE.
_SIGNATURES = {
    "gzip": rb"\x1f\x8b",
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "xz": rb"\xfd7zXZ\0",
    "zstd": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18",
    "ZIP": rb"PK(\x03\x04|\x05\x06)",
}
_COMPILED = {what: re.compile(signature, re.DOTALL) for what, signature in _SIGNATURES.items()}
_CORRUPT = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)


def plain_name(name: str) -> str:
    """A file's name without the ending of its compression.

    >>> plain_name("en-de.tsv.zst"), plain_name("en-de.tsv")
    ('en-de.tsv', 'en-de.tsv')
    """
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


@contextlib.contextmanager
def opened(path: Location) -> Iterator[Any]:
    """Opens a file for reading its bytes, decompressed if it is gzip, bzip2, xz, zstd or a ZIP archive of one file.

    It gives a binary file with `read`, `readline` and `peek`.

    Raises, here or while reading:
      UserError: if the file is missing, truncated, corrupt, or has changed when its reader is done; if an archive has
        several files.
    """
    before, what = None, None
    try:
        before = state(path)
        with contextlib.ExitStack() as stack:
            file, what = decompressed(stack.enter_context(path.open("rb")), str(path))
            yield stack.enter_context(file)
    except FileNotFoundError:
        raise UserError(f"{path}: {'no such file' if before is None else 'vanished while it was read'}") from None
    except UserError:
        _check_unchanged(path, before)
        raise
    except (*_CORRUPT, OSError) as error:
        _check_unchanged(path, before)
        if isinstance(error, _CORRUPT) or error.errno is None:  # of bz2, zstd and Parquet: OSErrors without a number
            kind = f"the {what} file" if what else "the file"
            raise UserError(f"{path}: {kind} is truncated or corrupt ({error}); fetch it again") from error
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    _check_unchanged(path, before)


def decompressed(file: Any, name: str, *, inside: bool = False) -> tuple[Any, str | None]:
    """An open file without its compression, and what that was; None if there was none.

    Raises:
      UserError: if an archive has several files.
    """
    start = file.peek(16)[:16]
    what = next((what for what, signature in _COMPILED.items() if signature.match(start)), None)
    match what:
        case "gzip":
            return gzip.GzipFile(fileobj=file), what
        case "bzip2":
            return bz2.BZ2File(file), what
        case "xz":
            return lzma.LZMAFile(file), what
        case "zstd":
            return io.BufferedReader(_Zstd(file), 1 << 17), what
        case "ZIP" if not inside:
            member, within = decompressed(open_member(file, None, name), name, inside=True)
            return member, within or what
    return file, None


def _check_unchanged(path: Location, before: Any) -> None:
    if before is None:
        return
    try:
        now: Any = state(path, now=True)
    except OSError:
        raise UserError(f"{path}: vanished while it was read; start again when it is there") from None
    if now != before:
        raise UserError(f"{path}: changed while it was read; start again when nothing writes to it")


class _Zstd(io.RawIOBase):
    """The bytes of a zstd file, of any number of frames. pyarrow has the decompressor; Python 3.11 has none."""

    def __init__(self, file: Any) -> None:
        import pyarrow as pa

        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()
