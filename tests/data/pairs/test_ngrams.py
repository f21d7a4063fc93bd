import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.data.pairs.ngrams import Ngrams, character_ngrams, word_ngrams
from jaxemb.data.pairs.normalize import decontamination_key

ALONE = "漢字かなカไทยမြ"
texts = st.lists(st.text("ab " + ALONE[:6] + "\U00020000ß", max_size=12).map(decontamination_key), max_size=6)


def characters_by_hand(text: str, n: int) -> list[str]:
    return [text[i : i + n] for i in range(max(len(text) - n + 1, 1))] if text else []


def words_by_hand(text: str, n: int) -> list[tuple[str, ...]]:
    words = re.findall(f"[{ALONE}\U00020000]|[^ {ALONE}\U00020000]+", text)
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def assert_one_hash_each(found: Ngrams, expected: list[list[object]]) -> None:
    """As many n-grams in each text, and equal hashes where, and only where, the n-grams are equal."""
    assert np.diff(found.starts).tolist() == [len(ngrams) for ngrams in expected]
    flat = [ngram for ngrams in expected for ngram in ngrams]
    pairs = set(zip(found.hashes.tolist(), flat, strict=True))
    assert len(pairs) == len({h for h, _ in pairs}) == len({ngram for _, ngram in pairs})


@given(texts, st.integers(1, 5))
def test_ngrams_are_those_by_hand(texts, n):
    assert_one_hash_each(character_ngrams(texts, n), [characters_by_hand(text, n) for text in texts])
    assert_one_hash_each(word_ngrams(texts, n), [words_by_hand(text, n) for text in texts])


@given(texts)
def test_a_text_has_the_same_ngrams_in_any_company(texts):
    for ngrams in (character_ngrams, word_ngrams):
        together, single = ngrams(texts, 3), [ngrams([text], 3).hashes.tolist() for text in texts]
        bounds = zip(together.starts, together.starts[1:], strict=False)
        assert [together.hashes[start:end].tolist() for start, end in bounds] == single


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the cat sat", 3),
        ("猫が座った", 5),
        ("use 漢字 now", 4),
        ("แมวนั่ง", 7),
        ("가나 다라", 2),
        ("กa", 2),
        ("a", 1),
        ("", 0),
    ],
)
def test_words(text, count):
    assert len(word_ngrams([text], 1).hashes) == count


def test_the_hashes_are_those_of_every_machine():
    """Stored beside the data: a change needs a new version of the prepared data."""
    assert character_ngrams(["abcde"], 4).hashes.tolist() == [9790533421069497296, 17734535709437657108]
    assert word_ngrams(["the cat sat 漢字"], 4).hashes.tolist() == [16708146841354360743, 14991136265983441565]
