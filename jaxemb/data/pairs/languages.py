"""The language that a pair counts for."""

from jaxemb.language_tags import is_english


def pair_language(anchor_lang: str, positive_lang: str) -> str:
    """The language that a pair counts for: that of the side that is not English, or both languages if neither is.

    Args:
      anchor_lang: BCP 47 tag of the anchor (`language_tag`).
      positive_lang: the same for the positive.

    >>> pair_language("en", "de"), pair_language("de", "en"), pair_language("de", "de"), pair_language("de", "fr")
    ('de', 'de', 'de', 'de-fr')
    """
    if is_english(anchor_lang) or anchor_lang == positive_lang:
        return positive_lang
    return anchor_lang if is_english(positive_lang) else f"{anchor_lang}-{positive_lang}"
