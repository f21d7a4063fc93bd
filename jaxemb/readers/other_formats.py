"""Recognises files that are not lines of text by their first bytes, so that the message can say what they are.

Signatures: xz (tukaani.org/xz/xz-file-format.txt), bzip2 (sourceware.org/bzip2), ZIP (PKWARE's APPNOTE), Zstandard
(RFC 8878), Parquet and Arrow (their format pages at apache.org), tar (POSIX ustar), TMX 1.4b (ttt.org/oscarstandards),
Git LFS (its docs/spec.md).
"""

import re

SIGNATURE_BYTES = 512
"""So much of a file's beginning is looked at."""

_LINES = "convert it to lines of text, .tsv or .jsonl, plain or .gz"
# The whole first line, since a sentence before a tab may be about XML.
_XML = rb"(\xef\xbb\xbf)?\s*(<\?xml|<!DOCTYPE|<tmx)[^\t\n]*(\n|\Z)"
_FORMATS: tuple[tuple[bytes, str], ...] = (
    (rb"\xff\xfe|\xfe\xff", "is UTF-16; convert it to UTF-8"),
    (rb"\xfd7zXZ\0", "is compressed with xz; decompress it (xz -d)"),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "is compressed with bzip2; decompress it (bzip2 -d)"),
    (rb"\x28\xb5\x2f\xfd", "is compressed with zstd; decompress it (zstd -d)"),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7-zip archive; unpack it and name the file inside"),
    (rb"PK(\x03\x04|\x05\x06)", "is a ZIP archive; unpack it and name the file inside"),
    (rb".{257}ustar", "is a tar archive; unpack it and name the file inside"),
    (rb"PAR1\x15", f"is a Parquet file; {_LINES}"),
    (rb"ARROW1\0", f"is an Arrow file; {_LINES}"),
    (rb"version https://git-lfs", "is a pointer of Git LFS, not the file itself; fetch the file (git lfs pull)"),
    (rb"(?=.*<(tmx|!DOCTYPE tmx)\b)" + _XML, f"is TMX, which is XML; {_LINES}"),
    (rb"(?=\s*<!DOCTYPE html)" + _XML, "is a web page, perhaps about an error; fetch the file again"),
    (_XML, f"is XML; {_LINES}"),
)
_COMPILED = tuple((re.compile(signature, re.DOTALL | re.IGNORECASE), what) for signature, what in _FORMATS)


def other_format(start: bytes) -> str | None:
    """What a file is, and what to do with it; None if it may be text.

    Args:
      start: its first `SIGNATURE_BYTES`, without gzip; fewer if the file is short.

    >>> other_format(b"BZh91AY&SY...")
    'is compressed with bzip2; decompress it (bzip2 -d)'
    >>> other_format(b"BZh is a name, and PK is another") is None
    True
    """
    return next((what for signature, what in _COMPILED if signature.match(start)), None)
