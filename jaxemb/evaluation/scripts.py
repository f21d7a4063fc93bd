"""The script a text is written in, found from its letters."""

import collections
import functools
import unicodedata
from collections.abc import Iterable

_MERGED = {"Cjk": "Han/Kana", "Hiragana": "Han/Kana", "Katakana": "Han/Kana", "Katakana-Hiragana": "Han/Kana"}
_WIDTHS = ("FULLWIDTH ", "HALFWIDTH ")


@functools.lru_cache(maxsize=65_536)
def script_of(character: str) -> str:
    """Script of a letter by its Unicode name (`Latin`, `Cyrillic`, `Han/Kana`, ...); empty if it is no letter.

    >>> script_of("ж"), script_of("語"), script_of("7")
    ('Cyrillic', 'Han/Kana', '')
    """
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "")
    for width in _WIDTHS:
        name = name.removeprefix(width)
    script = name.partition(" ")[0].capitalize()
    return _MERGED.get(script, script)


def majority_script(texts: Iterable[str]) -> str:
    """The script of most letters of `texts`; empty when there is no letter.

    >>> majority_script(["Обновить API", "Да"])
    'Cyrillic'
    """
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(map(script_of, text))
    del counts[""]
    return max(counts, key=lambda script: (counts[script], script), default="")
