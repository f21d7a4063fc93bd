"""`normalize_text` as a part of the tokenizer, so that a served model sees text as in training."""

import unicodedata
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, normalizers

from jaxemb.data.pairs.normalize import normalize_text
from jaxemb.fast_tokenizer import plain_backend, with_backend

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_REMOVED = r"[\x00-\x08\x0e-\x1b\x7f\u0080-\u0084\u0086-\u009f\ufeff]"
"""Control characters that are not white space, and the byte order mark."""
_SPACES = r"[\s\x1c-\x1f]+"
_PROBES = (unicodedata.normalize("NFD", "Café Tiếng Việt 한국어 й"), "a  b\n\tc\u00a0d\x1ce", "\ufeffone\x00\x85two ")


def normalizer() -> normalizers.Normalizer:
    r"""`normalize_text` as a normalizer of the tokenizers library.

    They differ in one thing: the library has the combining marks of Unicode 9, so a text with two marks on one letter,
    one of them newer (such as the Sogdian ones) and in an order that is not canonical, keeps its order.

    >>> normalizer().normalize_str("  Cafe\u0301\tau\u00a0lait\x00 ")
    'Café au lait'
    """
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(_REMOVED), ""),
            normalizers.NFC(),
            normalizers.Replace(Regex(_SPACES), " "),
            normalizers.Strip(),
        ]
    )


def with_normalizer(tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """A copy of a fast tokenizer that gives a text the ids of `normalize_text(text)`.

    A tokenizer that already does so is returned unchanged.
    """
    backend = plain_backend(tokenizer)
    if all(_words(backend, text) == _words(backend, normalize_text(text)) for text in _PROBES):
        return tokenizer
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizer(), *own])
    return with_backend(tokenizer, backend)


def _words(backend: Tokenizer, text: str) -> list[str]:
    """The strings that the backend looks up in its vocabulary."""
    text = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
    return (
        [text] if backend.pre_tokenizer is None else [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
    )
