"""What counts as texts: strings in an order. Anything else is refused; the error gives its index and its type."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from jaxemb.errors import NotTexts

if TYPE_CHECKING:
    Texts = Iterable[str]
else:
    Texts = object  # checked at run time here, with a better message than a type checker's
"""Strings in an order: a list, a tuple, an array of one dimension, a column of a table, an iterator."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTES = (bytes, bytearray, memoryview)


def as_texts(texts: Texts, name: str = "texts") -> list[str]:
    """All of the texts, checked; a list is returned unchanged.

    Args:
      texts: strings in an order. An iterator is read to its end.
      name: name of the texts for messages.

    Raises: NotTexts, a TypeError, for a single string, bytes, a dict, a set, a table, and anything with elements that
      are not strings.

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
    """The texts one by one, each checked when it is read; an argument that cannot be texts is refused at once.

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
    """The first half of a surrogate pair in a text, or ''. It is not valid Unicode, although JSON can contain it.

    >>> half_characters(f"a {chr(0xD800)} b") == chr(0xD800), half_characters("a 🙂 b")
    (True, '')
    """
    found = _SURROGATE.search(text)
    return found[0] if found else ""


def _in_order(texts: Any, name: str) -> Iterable[Any]:
    """An iterable over the texts, in the order that the caller sees."""
    kind = type(texts).__name__
    if isinstance(texts, str):
        raise NotTexts(f"{name} must be a list of strings, not one string: encode([text])")
    if isinstance(texts, _BYTES):
        raise NotTexts(f"{name} is {kind}: decode it and pass a list of strings, such as [{name}.decode()]")
    if isinstance(texts, Mapping):
        raise NotTexts(f"{name} is a {kind}: pass its keys or its values as a list, such as list({name}.values())")
    if isinstance(texts, Set):
        raise NotTexts(f"{name} is a {kind}, which has no order: pass a list, such as sorted({name})")
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


def _not_text(value: Any, where: str) -> NotTexts:
    if isinstance(value, str):
        half = half_characters(value)
        return NotTexts(f"{where} is not valid Unicode: it holds {half!a}, half of a character")
    hint = ""
    if isinstance(value, _BYTES):
        hint = ": decode it (UTF-8, say)"
    elif isinstance(value, tuple | list):
        hint = ": pairs and lists are not embedded as one; embed each side by itself"
    elif isinstance(value, float) and value != value:
        hint = ": a missing value; leave it out, or put '' in its place"
    return NotTexts(f"{where} is {_shown(value)}, not a string{hint}")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"
