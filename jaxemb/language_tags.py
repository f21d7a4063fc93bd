"""One name for each language: BCP 47 tags from the names that files, catalogues and settings use.

The codes are those of the IANA registry (RFC 5646) and of CLDR, out of the package `langcodes`.
"""

import difflib
import functools
import re

# POSIX modifiers that are scripts or variants, and tags that BCP 47 replaced or that hide the script.
_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab", "valencia": "valencia"}
_ALIASES = {"zh-CN": "zh-Hans", "zh-TW": "zh-Hant", "no": "nb", "iw": "he", "in": "id", "sh": "sr-Latn"}
_ALIASES |= {"ji": "yi", "jw": "jv", "mo": "ro"}
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_SCRIPT = re.compile(r"[A-Z][a-z]{3}")
# CLDR joins these two-letter codes with another one (tl: fil, tw: ak). They keep their own names.
_TWO_LETTERS = {"tgl": "tl", "twi": "tw", "hbs": "sh", "nor": "no"}
_KOREAN = ("ko", "Hang")  # FLORES writes kor_Hang; CLDR's script of Korean is Kore, which is Hangul and Chinese


def language_tag(name: str) -> str | None:
    """The BCP 47 tag of a locale, a language code or the name of a file; None if it has not the form of one.

    ISO 639-3 and 639-2 codes become the two letters of ISO 639-1 where there are such, also where the code is that of
    the standard form of a language (`arb`, `cmn`, `pes`). A script is left out if the language is usually written in
    it. `zh-Hans` and `zh-Hant` keep theirs. A code that is not registered stays as it is; `checked_language` refuses
    it.

    >>> [language_tag(name) for name in ("pt_BR", "zh_hans", "sr@latin", "de_DE.UTF-8", "en", "templates")]
    ['pt-BR', 'zh-Hans', 'sr-Latn', 'de-DE', 'en', None]
    >>> [language_tag(name) for name in ("eng", "eng_Latn", "EN", "ger", "cmn", "zho_Hant", "hin_Latn", "xx")]
    ['en', 'en', 'en', 'de', 'zh', 'zh-Hant', 'hi-Latn', 'xx']
    """
    return _normalized(name)[0]


@functools.lru_cache(maxsize=1 << 12)
def _normalized(name: str) -> tuple[str | None, bool]:
    """The tag, and whether its language and its script are registered."""
    name, _, modifier = name.partition("@")
    name = name.partition(".")[0]
    if not _TAG.fullmatch(name):
        return None, False
    parts = re.split("[-_]", name)
    if modifier:
        if modifier.lower() not in _MODIFIERS:
            return None, False
        parts.insert(1, _MODIFIERS[modifier.lower()])
    others = [_cased(_MODIFIERS.get(part.lower(), part)) for part in parts[1:]]
    language = _two_letters(parts[0].lower())
    known = _is_language(language)
    if known and others and _SCRIPT.fullmatch(others[0]):
        known = _is_script(others[0])
        if _is_usual_script(language, *others[:2]):
            others = others[1:]
    tag = "-".join([language, *others])
    return _ALIASES.get(tag, tag), known


def checked_language(name: str) -> str:
    """The tag of a language that the user named; see `language_tag`.

    Raises:
      ValueError: if it is not a language. The message suggests the nearest one; the caller adds the name.

    >>> checked_language("EN_us")
    'en-US'
    """
    tag, known = _normalized(name)
    if tag is None or not known:
        raise ValueError(
            f"unknown language, perhaps {_nearest(name)!r} is meant; "
            "expected a tag of BCP 47 (en, pt-BR) or ISO 639 (eng, eng_Latn)"
        )
    return tag


def is_english(tag: str) -> bool:
    """Whether a tag or another name of a language is English, of any region or script."""
    return (language_tag(tag) or tag).partition("-")[0] == "en"


def _cased(subtag: str) -> str:
    if len(subtag) == 2:
        return subtag.upper()
    return subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag.lower()


def _two_letters(code: str) -> str:
    """The two-letter code of the same language; the code itself if there is none, or if it is no language."""
    if len(code) == 2:
        return code
    if code in _TWO_LETTERS:
        return _TWO_LETTERS[code]
    import langcodes  # here, because few commands read language names

    for joined in (False, True):
        other = langcodes.standardize_tag(code, macro=joined)
        if len(other) == 2:
            return other
    return code


def _is_language(code: str) -> bool:
    import langcodes

    return code not in ("und", "mul", "zxx", "mis") and langcodes.Language.make(language=code).is_valid()


def _is_script(code: str) -> bool:
    import langcodes

    return langcodes.Language.make(script=code).is_valid()


def _is_usual_script(language: str, script: str, region: str = "") -> bool:
    """Whether the script says nothing new of the language (in this region)."""
    import langcodes

    if language == "zh":
        return False
    where = region if re.fullmatch("[A-Z]{2}", region) else None
    usual = langcodes.Language.make(language=language, territory=where).maximize().script
    return script == usual or (language, script) == _KOREAN


def _nearest(name: str) -> str:
    """The language that was probably meant: by its English name, by the code of its country, or by a similar code."""
    import langcodes
    from langcodes.registry_parser import parse_registry

    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    for entry in parse_registry():
        if entry["Type"] == "language" and "Deprecated" not in entry and ".." not in str(entry["Subtag"]):
            tag = codes[str(entry["Subtag"])] = language_tag(str(entry["Subtag"])) or ""
            for description in entry["Description"]:
                names.setdefault(description.casefold(), tag)
    word = (re.findall(r"\w+", name.casefold()) or [""])[0]
    if len(word) > 3 and (found := difflib.get_close_matches(word, names, n=1, cutoff=0.85)):
        return names[found[0]]
    if len(word) > 3 and word[:2] in codes:
        return codes[word[:2]]  # deutsch, espanol
    country = langcodes.Language.make(territory=word.upper()).maximize().language
    if len(word) == 2 and country not in ("und", "en"):  # `en` is its answer for what is no country, too
        return str(country)

    def likeness(code: str) -> float:
        return difflib.SequenceMatcher(None, word, code).ratio() + code.startswith(word) + code.startswith(word[:1])

    return codes[max(codes, key=likeness)]
