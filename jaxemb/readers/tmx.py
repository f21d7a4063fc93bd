"""Translation memories (TMX 1.4b), read as a stream: memory holds one translation unit, however long the file is.

Format: https://www.gala-global.org/tmx-14b. Entities are refused where they are declared, since a few lines of them
expand to gigabytes; a DTD that the file names is never fetched.
"""

import codecs
import dataclasses
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from jaxemb.errors import UserError
from jaxemb.readers.compression import opened
from jaxemb.readers.lines import MAX_LINE_BYTES, BadLine
from jaxemb.readers.locations import Location

_CHUNK_BYTES = 1 << 16
_MOST_PENDING = 4 << 20
"""Most bytes of a tag or a comment."""
_MOST_VARIANTS = 1000
"""Most texts of a translation unit."""
_CODES = frozenset({"bpt", "ept", "it", "ph", "ut", "sub"})
"""Inline tags around codes of the document's format, which are no text; `hi` has text in it."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0?\0", "utf-16-le"), (b"\0<\0?", "utf-16-be"),
)  # fmt: skip
_DECLARED = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A translation unit: texts that translate each other."""

    line: int
    """Line of its tag, from 1."""
    texts: tuple[tuple[str, str], ...]
    """The language, as the file writes it, and the text of each variant; a language may have several."""


def read_units(path: Location) -> Iterator[Unit | BadLine]:
    """Yields the translation units of a file, plain or compressed, in any encoding that it declares.

    A `BadLine` stands for a unit with a text longer than a line may be, or without a language.

    Raises:
      UserError: if the file is missing, empty, truncated, no TMX or no well-formed XML, is not in the encoding that it
        declares, or declares entities.
    """
    reader = _Reader(str(path))
    with opened(path) as file:
        start = file.peek(512)[:512]
        if not start:
            raise UserError(f"{path}: the file is empty; leave it out or fetch it again")
        decoder = _decoder(start, str(path))
        while data := file.read(_CHUNK_BYTES):
            yield from reader.feed(_decoded(decoder, data, reader, final=False))
        yield from reader.feed(_decoded(decoder, b"", reader, final=True), final=True)


def _decoder(start: bytes, name: str) -> codecs.IncrementalDecoder:
    encoding = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
    if encoding is None:
        declared = _DECLARED.match(start.lstrip())
        encoding = declared[1].decode() if declared else "utf-8"
    try:
        "a".encode(encoding)  # raises LookupError for codecs that are not of text, such as zlib
        return codecs.getincrementaldecoder(encoding)()
    except (LookupError, UnicodeError):
        raise UserError(f"{name}: declares the encoding {encoding}, which is not known; convert it to UTF-8") from None


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, reader: "_Reader", *, final: bool) -> str:
    try:
        text = decoder.decode(data, final)
        text.encode()  # some charsets (UTF-7) allow half a character
    except UnicodeError as error:
        raise UserError(
            f"{reader.name}, after line {reader.line}: is not in the encoding that it declares ({error}); convert it"
        ) from None
    return text


class _Reader:
    """Collects the units while expat parses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = self._refuse
        self._parser.buffer_text = True
        self._fed = 0
        self._units: list[Unit | BadLine] = []
        self._root: str | None = None
        self._line = 0
        self._texts: list[tuple[str, str]] = []
        self._language: str | None = None
        self._text: list[str] = []
        self._length = 0
        self._codes = 0
        self._bad: str | None = None

    @property
    def line(self) -> int:
        """Where the parser is, from 1."""
        return self._parser.CurrentLineNumber

    def feed(self, text: str, *, final: bool = False) -> list[Unit | BadLine]:
        """Parses more of the file; returns the units that it completes.

        Raises:
          UserError: as `read_units`.
        """
        try:
            self._parser.Parse(text, final)
        except expat.ExpatError as error:
            raise UserError(
                f"{self.name}, line {error.lineno}: is not well-formed XML, or is truncated "
                f"({expat.ErrorString(error.code)}); correct it or fetch it again"
            ) from None
        self._fed += len(text.encode())
        if self._fed - max(self._parser.CurrentByteIndex, 0) > _MOST_PENDING:
            raise UserError(f"{self.name}, line {self.line}: a tag or comment of more than {_MOST_PENDING >> 20} MiB")
        units, self._units = self._units, []
        return units

    def _refuse(self, name: str, *_: Any) -> None:
        raise UserError(
            f"{self.name}, line {self.line}: declares the entity {name[:40]!r}, which may expand to gigabytes; "
            "write its text in its place, or fetch the file elsewhere"
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._root is None:
            self._root = tag
            if tag != "tmx":
                raise UserError(f"{self.name}, line {self.line}: is XML, but not TMX: it begins with <{tag[:40]}>")
        if tag == "tu":
            self._line, self._texts, self._bad = self.line, [], None
        elif tag == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang")
            if not self._language:
                self._bad = f"line {self.line}: a <tuv> without xml:lang"
        elif tag == "seg":
            self._text, self._length, self._codes = [], 0, 0
            self._parser.CharacterDataHandler = self._characters
        elif tag in _CODES:
            self._codes += 1

    def _characters(self, text: str) -> None:
        self._length += len(text)
        if self._codes == 0 and self._length <= MAX_LINE_BYTES:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        if tag in _CODES:
            self._codes -= 1
        elif tag == "seg":
            self._parser.CharacterDataHandler = None
            if self._length > MAX_LINE_BYTES:
                self._bad = f"a text longer than {MAX_LINE_BYTES >> 20} MiB"
            elif self._language and len(self._texts) < _MOST_VARIANTS:
                self._texts.append((self._language, "".join(self._text)))
        elif tag == "tu":
            shown = " | ".join(text for _, text in self._texts)[:400]
            unit = Unit(self._line, tuple(self._texts)) if self._bad is None else BadLine(self._line, self._bad, shown)
            self._units.append(unit)
