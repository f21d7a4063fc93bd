"""Masking what stands verbatim in a text and its translation, so that it cannot give the answer away.

Software translations are full of placeholders, markup, numbers, symbols and brand names that both sides share letter by
letter; comparing those is no translation retrieval. They are *removed*, and so is punctuation that then stands alone. A
neutral token in their place would still tell how many there were, and where. The same masked texts go to every
system that is compared.
"""

import re
from collections.abc import Callable, Collection, Iterable

_MASK = "\ue000"  # a private-use character marks what was removed until the rest is tidied
_EXTENSIONS = (
    "avi|bak|bat|bmp|bz2|c|cfg|conf|cpp|csv|css|db|dll|docx?|ed|eps|exe|ged|gif|go|gpkg|gramps|gz|h|html?|ics|ini|ipynb|"
    "java|jpe?g|js|json|jsx|less|log|lua|md|mkv|mo|mov|mp[34]|odp|ods|odt|ogg|pdf|php|pl|png|po|pot|pptx?|ps|py|pyc|rb|"
    "rst|rtf|sass|scss|sh|so|sql|sqlite3?|svg|tar|tex|tgz|tiff?|toml|ts|tsv|tsx|ttf|txt|vcf|wav|webp|whl|xlsx?|xml|xz|"
    "ya?ml|zip"
)
_MARKUP = re.compile(
    "|".join(
        (
            r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",  # e-mail
            r"(?:[a-z][a-z0-9+.-]*://|www\.|mailto:)(?:[!#-&*-;=?-Z\\_a-z~@]|%[0-9a-f]{2})*",  # URL, ASCII only
            r"</?[a-z!?][^<>]*>|<[^<>\s]+>",  # HTML, XML; the target of a reST link
            r"&(?:\#\d+|\#x[0-9a-f]+|[a-z][a-z0-9]*);",  # HTML entity
            r"\{%.*?%\}|\{\{.*?\}\}",  # Django, Jinja
            r"[$%#]?\{[^{}]*\}",  # str.format, JavaScript, Plone, ICU (innermost first)
            r"%\([^()]*\)[-+0#]*\d*(?:\.\d+)?[a-z]?",  # %(name)s
            r"%(?:\d+\$)?[-+0#]*\d*(?:\.\d+)?(?:hh?|ll?|z|j)?[diouxefgcrsan@]",  # %s, %1$s, %.2f
            r"%%|%l?\d+",  # %%; Qt's %1
            r"\$[a-z_]\w*",  # $name
            r"``[^`]*``",  # reST literal
            r":[a-z][\w+.:-]*:`[^`<]*`|:[a-z][\w+.:-]*:(?=`)",  # reST role; with a title of its own, that stays
            r"\|\w[\w.-]*\|",  # reST substitution
            r"(?<![\w/])[a-z]:\\[\w\\.$~-]*",  # Windows path
            r"(?<![\w/.])(?:~|\.{1,2}|\w[\w.-]*(?=/[\w.-]+/))?/[\w*.-][\w~/*+.-]*",  # /path, ./path, some/long/path
            rf"(?<!\w)[\w./*~-]*\.(?:{_EXTENSIONS})(?!\w)",  # file.ext, *.ext
        )
    ),
    re.ASCII | re.IGNORECASE,
)
_TRIGGER = re.compile(r"[@:<&{%$`|\\/]|\.\w", re.ASCII)  # every kind of markup holds one: most texts are done at once
_NUMBER = re.compile(r"[+-]?\d+(?:[.,:/'’٫٬\u00a0-]?\d+)*[%٪]?|[²³¹¼-¾⁰-⁹₀-₉]+")  # \d: the digits of any script
_LATIN = r"A-Za-zªºÀ-ÖØ-öø-ʯḀ-ỿⱠ-ⱿꜢ-ꟿꬰ-ꭤＡ-Ｚａ-ｚ"
_WORD = re.compile(rf"\d*[{_LATIN}](?:[{_LATIN}\d_]*[{_LATIN}\d])?")
_OPENING, _CLOSING = "([{<«„“‘「『（《【", ")]}>»”’」』）》】"
_MNEMONIC = re.compile(r"\([_&][A-Za-z0-9]\)|(?<!\w)[_&](?=\w)|(?<=\w)_(?=\w)")  # keyboard shortcuts of menus
_SYMBOL = re.compile(r"[#$*+<=>@\\^_`|~¢-©¬®-±¶×÷€←-⯿🀀-\U0001ffff\ufe0f]+")  # code, currencies, arrows, emoji


def mask_placeholders(text: str, brands: Collection[str] = frozenset()) -> str:
    """The text without placeholders, markup, URLs, e-mails, file paths, numbers, symbols, and words in `brands`.

    >>> mask_placeholders('Hello %(name)s, see <a href="/x">page 12</a> of Django ("{title}")', {"Django"})
    'Hello see page of'
    """
    return _tidy(_mask_words(_mask_markup(text), lambda word: word in brands))


def mask_pair(anchor: str, positive: str, *, brands: Collection[str] = frozenset(), latin: bool) -> tuple[str, str]:
    """Both sides of a pair masked by `mask_placeholders`, and without the words that they share letter by letter.

    Args:
      anchor: the side in Latin script (English).
      positive: the translation.
      brands: names to mask wherever they stand; see `brand_names`.
      latin: the translation's language is written in Latin script. Then shared words are masked if they look like
        names (`GEDCOM`, `JavaScript`, `utf8`, `max_age`): others are cognates, a part of translation. If it is not,
        a Latin-script word in the translation is a foreign body: all of them are masked there, and in the anchor
        those of them that it shares, in upper or lower case.

    >>> mask_pair("The API key of Wagtail", "Ключ API для Wagtail", latin=False)
    ('The key of', 'Ключ для')
    """
    anchor, positive = _mask_markup(anchor), _mask_markup(positive)
    words = set(_WORD.findall(positive))
    if latin:
        shared = {word for word in words & set(_WORD.findall(anchor)) if _is_marked(word)}
        sides = [_mask_words(text, lambda word: word in shared or word in brands) for text in (anchor, positive)]
    else:
        folded = {word.casefold() for word in words}
        sides = [
            _mask_words(anchor, lambda word: word.casefold() in folded or word in brands),
            _mask_words(positive, lambda word: True),
        ]
    return _tidy(sides[0]), _tidy(sides[1])


def brand_names(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Names that translators leave as they are, derived from the pairs themselves.

    A Latin-script word of two or more letters is one if it stands verbatim on both sides of a pair and has a capital
    after its first letter, a digit or an underscore (`GEDCOM`, `JavaScript`, `utf8`, `max_age`); or if it is
    capitalised (`Django`), at least half of the translations of the sentences it stands in keep it, and the anchors
    never write it small. The more languages the pairs are in, the better this tells `Django` from a cognate.
    """
    kept: dict[str, int] = {}
    seen: dict[str, int] = {}
    small: set[str] = set()
    for anchor, positive in pairs:
        words = set(_WORD.findall(_mask_markup(anchor)))
        translated = set(_WORD.findall(_mask_markup(positive)))
        for word in words:
            if word.islower() and not _is_marked(word):
                small.add(word)
            elif len(word) > 1:
                seen[word] = seen.get(word, 0) + 1
                kept[word] = kept.get(word, 0) + (word in translated)
    return frozenset(
        word
        for word, count in kept.items()
        if count and (_is_marked(word) or (2 * count >= seen[word] and word.lower() not in small))
    )


def has_letters(text: str) -> bool:
    """Whether anything is left of a masked text to know it by."""
    return any(character.isalpha() for character in text)


def _mask_markup(text: str) -> str:
    """Placeholders and markup replaced by the mask character; repeated, as ICU's braces are nested."""
    while _TRIGGER.search(text) and (masked := _MARKUP.sub(_MASK, text)) != text:
        text = masked
    return text


def _mask_words(text: str, hide: Callable[[str], bool]) -> str:
    return _WORD.sub(lambda match: _MASK if hide(match[0]) else match[0], text)


def _is_marked(word: str) -> bool:
    """Looks like a name or an identifier by itself: a capital after the first letter, a digit or an underscore."""
    return len(word) > 1 and any(c.isupper() or c.isdigit() or c == "_" for c in word[1:] + word[0] * word[0].isdigit())


def _tidy(text: str) -> str:
    """Numbers, symbols, shortcuts and lonely punctuation removed; single spaces."""
    text = _SYMBOL.sub(_MASK, _MNEMONIC.sub("", _NUMBER.sub(_MASK, text)))
    words = (word.lstrip(_CLOSING).rstrip(_OPENING) for word in text.replace(_MASK, " ").split())
    return " ".join(word for word in words if has_letters(word))
