"""Recognises files that are not lines of text by their first bytes, so that the message can say what they are.

Signatures: Parquet and Arrow (their format pages at apache.org), tar (POSIX ustar), TMX 1.4b (ttt.org/oscarstandards),
Git LFS (its docs/spec.md). For compressed files see `compression`.
"""

import re

SIGNATURE_BYTES = 512
"""So much of a file's beginning is looked at."""

_LINES = "convert it to lines of text, .tsv or .jsonl"
_COLUMNS = f"read it with a source of kind parquet, name it .parquet or .arrow (uncompressed), or {_LINES}"
# The whole first line, since a sentence before a tab may be about XML.
_XML = rb"(\xef\xbb\xbf)?\s*(<\?xml|<!DOCTYPE|<tmx)[^\t\n]*(\n|\Z)"
_FORMATS: tuple[tuple[bytes, str], ...] = (
    (rb"\xff\xfe|\xfe\xff", "is UTF-16; convert it to UTF-8"),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7-zip archive; unpack it and name the file inside"),
    (rb".{257}ustar", "is a tar archive; unpack it and name the file inside"),
    (rb"PAR1\x15", f"is a Parquet file; {_COLUMNS}"),
    (rb"ARROW1\0", f"is an Arrow file; {_COLUMNS}"),
    (rb"version https://git-lfs", "is a pointer of Git LFS, not the file itself; fetch the file (git lfs pull)"),
    (rb"(?=.*<(tmx|!DOCTYPE tmx)\b)" + _XML, f"is TMX, which is XML; read it with a source of kind tmx, or {_LINES}"),
    (rb"(?=\s*<!DOCTYPE html)" + _XML, "is a web page, perhaps about an error; fetch the file again"),
    (_XML, f"is XML; {_LINES}"),
)
_COMPILED = tuple((re.compile(signature, re.DOTALL | re.IGNORECASE), what) for signature, what in _FORMATS)


def other_format(start: bytes) -> str | None:
    r"""What a file is, and what to do with it; None if it may be text.

    Args:
      start: its first `SIGNATURE_BYTES`, decompressed; fewer if the file is short.

    >>> other_format(b"\xff\xfea\0")
    'is UTF-16; convert it to UTF-8'
    >>> other_format(b"7z is a name, and PK is another") is None
    True
    """
    return next((what for signature, what in _COMPILED if signature.match(start)), None)
