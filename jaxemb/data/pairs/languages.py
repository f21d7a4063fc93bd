"""Language tags: converts the language names of files and catalogues to BCP 47."""

import re

# POSIX modifiers that are scripts or variants, and tags that BCP 47 replaced or that hide the script.
_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab", "valencia": "valencia"}
_ALIASES = {"zh-CN": "zh-Hans", "zh-TW": "zh-Hant", "no": "nb", "iw": "he", "in": "id", "sh": "sr-Latn"}
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


def language_tag(name: str) -> str | None:
    """The BCP 47 tag of a locale or language name; None if it is not one.

    >>> [language_tag(name) for name in ("pt_BR", "zh_hans", "sr@latin", "de_DE.UTF-8", "en", "templates")]
    ['pt-BR', 'zh-Hans', 'sr-Latn', 'de-DE', 'en', None]
    """
    name, _, modifier = name.partition("@")
    name = name.partition(".")[0]
    if not _TAG.fullmatch(name):
        return None
    parts = re.split("[-_]", name)
    if modifier:
        if modifier.lower() not in _MODIFIERS:
            return None
        parts.insert(1, _MODIFIERS[modifier.lower()])
    tag = "-".join([parts[0].lower(), *(_cased(part) for part in parts[1:])])
    return _ALIASES.get(tag, tag)


def _cased(subtag: str) -> str:
    if len(subtag) == 2:
        return subtag.upper()
    return subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag.lower()


def is_english(tag: str) -> bool:
    """Whether the tag is English of any region."""
    return tag == "en" or tag.startswith("en-")


def pair_language(anchor_lang: str, positive_lang: str) -> str:
    """The language that a pair counts for: that of the side that is not English, or both languages if neither is.

    >>> pair_language("en", "de"), pair_language("de", "en"), pair_language("de", "de"), pair_language("de", "fr")
    ('de', 'de', 'de', 'de-fr')
    """
    if is_english(anchor_lang) or anchor_lang == positive_lang:
        return positive_lang
    return anchor_lang if is_english(positive_lang) else f"{anchor_lang}-{positive_lang}"
