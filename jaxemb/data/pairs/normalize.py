"""Text normalisation: of the training text, and of a coarser key by which two English sides count as the same."""

import hashlib
import re
import unicodedata

_PLACEHOLDER = re.compile(
    r"""%\([^)]*\)[#0\- +]*[\d.]*[a-zA-Z]  # %(name)s
      | %[\d$.#0\-+]*[a-zA-Z]\b            # %s, %1$s, %.2f
      | \$?\{[^{}]*\}                      # {name}, ${name}
      | \$\w+                              # $name
      | </?[a-zA-Z][^<>]*>                 # markup
      | &\#?\w+;                           # entities
    """,
    re.VERBOSE,
)


class _OnlyLetters(dict[int, int]):
    """A `str.translate` table that keeps letters and their marks, and maps everything else to spaces."""

    def __missing__(self, code: int) -> int:
        kept = code if unicodedata.category(chr(code))[0] in "LM" else ord(" ")
        self[code] = kept
        return kept


_LETTERS = _OnlyLetters()


def normalize_text(text: str) -> str:
    r"""Unicode NFC, one space for any run of white space, no control characters, no white space at the ends.

    >>> normalize_text("  Cafe\u0301\tau\u00a0lait\x00 ")
    'Café au lait'
    """
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    if not text.isprintable():
        text = "".join(c for c in text if c.isspace() or (unicodedata.category(c) != "Cc" and c != "\ufeff"))
    return " ".join(unicodedata.normalize("NFC", text).split())


def decontamination_key(text: str) -> str:
    """The key of a text: two texts with equal keys count as the same sentence. Only letters matter, without case and
    placeholders.

    It is empty for a text of only placeholders, digits and punctuation.

    >>> decontamination_key("Delete %(count)d Files?") == decontamination_key("delete {n} files!")
    True
    """
    if "%" in text or "{" in text or "<" in text or "$" in text or "&" in text:
        text = _PLACEHOLDER.sub(" ", text)
    return " ".join(text.casefold().translate(_LETTERS).split())


def text_hash(text: str) -> int:
    """A stable 64-bit hash (BLAKE2b) of the text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
