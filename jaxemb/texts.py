"""What counts as texts: strings in an order. Everything else is refused, with its place and its type."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from jaxemb.errors import NotTexts

if TYPE_CHECKING:
    Texts = Iterable[str]
else:
    Texts = object  # what is passed is checked here, with a better message than a type checker's
"""Strings in an order: a list, a tuple, an array of one dimension, a column of a table, an iterator."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTES = (bytes, bytearray, memoryview)


def as_texts(texts: Texts, name: str = "texts") -> list[str]:
    """All of the texts, checked; a list is given back as it is.

    Args:
      texts: strings in an order. An iterator is read to its end.
      name: what messages call them.

    Raises: NotTexts, a TypeError, for one string, bytes, a dict, a set, a table, and anything that holds something else
      than strings.

    >>> as_texts(text.upper() for text in ("a cat", "a dog"))
    ['A CAT', 'A DOG']
    >>> as_texts(["a cat", None])
    Traceback (most recent call last):
    jaxemb.errors.NotTexts: texts[1] is None (NoneType), not a string
    """
    if isinstance(texts, list):
        for index, text in enumerate(texts):
            if not _is_text(text):
                raise _not_text(text, f"{name}[{index}]")
        return texts
    return list(each_text(texts, name))


def each_text(texts: Texts, name: str = "texts") -> Iterator[str]:
    """The texts one by one, each checked as it comes; what cannot be texts at all is refused at once.

    Raises: NotTexts, as `as_texts`.
    """
    return _checked(_in_order(texts, name), name)


def _checked(texts: Iterable[Any], name: str) -> Iterator[str]:
    for index, text in enumerate(texts):
        if not _is_text(text):
            raise _not_text(text, f"{name}[{index}]")
        yield text


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not half_characters(value))


def half_characters(text: str) -> str:
    """The first half of a surrogate pair in a text, which is no valid Unicode though JSON may say it; or nothing.

    >>> half_characters(f"a {chr(0xD800)} b") == chr(0xD800), half_characters("a 🙂 b")
    (True, '')
    """
    found = _SURROGATE.search(text)
    return found[0] if found else ""


def _in_order(texts: Any, name: str) -> Iterable[Any]:
    """What can be read in an order that whoever passes it sees."""
    kind = type(texts).__name__
    if isinstance(texts, str):
        raise NotTexts(f"{name} must be a list of strings, not one string: encode([text])")
    if isinstance(texts, _BYTES):
        raise NotTexts(f"{name} is {kind}: decode it and pass a list of strings, [{name}.decode()] say")
    if isinstance(texts, Mapping):
        raise NotTexts(f"{name} is a {kind}, with keys and values: pass the ones that are meant, list({name}.values())")
    if isinstance(texts, Set):
        raise NotTexts(f"{name} is a {kind}, which has no order of its own: pass a list, sorted({name}) say")
    dimensions = getattr(texts, "ndim", 1)  # of an array, a table
    if dimensions != 1:
        raise NotTexts(f"{name} is a {kind} of {dimensions} dimensions: pass one column of strings")
    for read in ("to_pylist", "tolist"):  # Arrow's and NumPy's arrays give Python's own strings
        if hasattr(texts, read):
            return getattr(texts, read)()
    try:
        return iter(texts)
    except TypeError:
        raise NotTexts(f"{name} is {_shown(texts)}: pass a list of strings") from None


def _not_text(value: Any, place: str) -> NotTexts:
    if isinstance(value, str):
        half = half_characters(value)
        return NotTexts(f"{place} is no valid Unicode: {half!a} in it is half of a character")
    hint = ""
    if isinstance(value, _BYTES):
        hint = ": decode it (UTF-8, say)"
    elif isinstance(value, tuple | list):
        hint = ": pairs and lists are not embedded as one; embed each side by itself"
    elif isinstance(value, float) and value != value:
        hint = ": a missing value; leave it out, or put '' in its place"
    return NotTexts(f"{place} is {_shown(value)}, not a string{hint}")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"
