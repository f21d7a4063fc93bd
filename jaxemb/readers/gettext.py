"""Gettext catalogues (`.mo`, `.po`, `.pot`), parsed without running their plural formulas.

Formats: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html and .../PO-Files.html. The standard
library's reader compiles each file's plural formula to Python code, which is unsafe for files from other people.
"""

import codecs
import dataclasses
import re
import struct
from collections.abc import Iterator

from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine
from jaxemb.texts import half_characters

_MO_MAGIC = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}
_CHARSET = re.compile(rb"charset=([\w-]+)")
_KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)\s+(\".*\")\s*")
_DEFAULT = re.compile(r'Default: "((?:[^"\\]|\\.)+)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One translated message; for a plural, the singular and the first plural form of its translation."""

    number: int
    """Position in a `.mo` file, or line in a `.po` file, from 1."""
    english: str
    translation: str
    forms: int = 1
    """Number of plural forms of the translation; 1 without a plural."""
    fuzzy: bool = False
    default: str | None = None
    """The English text if `english` is only a key (a `.po` comment `Default: "..."`, as in Plone and Zope)."""


def parse_mo(data: bytes, name: str) -> Iterator[Message | BadLine]:
    """Yields the messages of a compiled catalogue, without header and context.

    Raises:
      UserError: if the file is not a `.mo` file, or is truncated before its messages.
    """
    order = _MO_MAGIC.get(data[:4])
    if order is None or len(data) < 20:
        raise UserError(
            f"{name}: not a compiled gettext catalogue; reinstall the package or leave it out of data.sources"
        )
    count, originals, translations = struct.unpack_from(f"{order}3I", data, 8)
    try:
        original_table = struct.unpack_from(f"{order}{2 * count}I", data, originals)
        translation_table = struct.unpack_from(f"{order}{2 * count}I", data, translations)
    except struct.error as error:
        raise UserError(
            f"{name}: the catalogue is cut short; reinstall the package or leave it out of data.sources"
        ) from error
    charset = "utf-8"
    for number in range(count):
        length, start = original_table[2 * number : 2 * number + 2]
        translated_length, translated_start = translation_table[2 * number : 2 * number + 2]
        if max(start + length, translated_start + translated_length) > len(data):
            yield BadLine(number + 1, "a message beyond the end of the file", repr(data[start : start + 100]))
            continue
        original = data[start : start + length]
        translation = data[translated_start : translated_start + translated_length]
        if not original:
            charset = _charset(translation)
            continue
        try:
            english = _decoded(original.rpartition(b"\x04")[2].split(b"\0")[0], charset)
            forms = _decoded(translation, charset).split("\0")
        except UnicodeError:
            yield BadLine(number + 1, f"a message that is not {charset}", repr(original[:100]))
            continue
        yield Message(number + 1, english, forms[0], forms=len(forms))


def _charset(header: bytes) -> str:
    match = _CHARSET.search(header)
    try:
        charset = codecs.lookup(match[1].decode()).name if match else "utf-8"
        "a".encode(charset)  # raises LookupError for codecs that are not of text, such as zlib
    except (LookupError, UnicodeError):
        return "utf-8"
    return charset


def _decoded(data: bytes, charset: str) -> str:
    """The text. Raises UnicodeError; some charsets (UTF-7) allow half a character, which is refused, too."""
    text = data.decode(charset)
    if half_characters(text):
        raise UnicodeError
    return text


def parse_po(data: bytes) -> Iterator[Message | BadLine]:
    """Yields the messages of a catalogue's source (`.po`, `.pot`), including untranslated ones, without the header."""
    charset = _charset(data[:4096])
    entry = _Entry()
    for number, raw in enumerate(data.splitlines(), start=1):
        try:
            line = _decoded(raw, charset).removeprefix("\ufeff").strip()
        except UnicodeError:
            yield BadLine(number, f"not {charset}", repr(raw[:100]))
            continue
        starts_entry = line.startswith(("#", "msgctxt", "msgid ", "msgid\t"))
        if not line or (starts_entry and "msgstr" in entry.fields):
            yield from entry.messages()
            entry = _Entry()
        if line and not entry.take(line, number):
            yield BadLine(number, "neither a comment nor a gettext keyword", line)
    yield from entry.messages()


class _Entry:
    """The `.po` entry that is currently read."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.keyword = ""
        self.line = 0
        self.forms = 0
        self.fuzzy = False
        self.comment = ""

    def take(self, line: str, number: int) -> bool:
        """Adds a line; returns False if it is malformed."""
        if line.startswith("#"):
            self.fuzzy |= line.startswith("#,") and "fuzzy" in line
            if line.startswith("#. "):
                self.comment += line[3:] + " "
            return True
        if match := _KEYWORD.fullmatch(line):
            self.keyword, text = match.groups()
            self.line = self.line or number
            self.forms += self.keyword.startswith("msgstr")
            self.keyword = {"msgstr[0]": "msgstr"}.get(self.keyword, self.keyword)
            self.fields[self.keyword] = _unescape(text[1:-1])
            return True
        if len(line) >= 2 and line.startswith('"') and line.endswith('"') and self.keyword:
            self.fields[self.keyword] += _unescape(line[1:-1])
            return True
        return False

    def messages(self) -> Iterator[Message]:
        """The finished entry; None if it is not a message."""
        if self.fields.get("msgid"):
            default = _DEFAULT.search(self.comment)
            yield Message(
                self.line,
                self.fields["msgid"],
                self.fields.get("msgstr", ""),
                forms=max(self.forms, 1),
                fuzzy=self.fuzzy,
                default=_unescape(default[1]) if default else None,
            )


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text) if "\\" in text else text
