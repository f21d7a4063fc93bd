import random

import pytest

from jaxemb.config import NgramOverlap
from jaxemb.data.pairs.contamination import OverlapIndex
from jaxemb.data.pairs.ngrams import word_ngrams

SENTENCES = [
    "a woman stands in front of a large old building",
    "he did not know what he was going to do with it all",
    "short sentence of five words",
    "私は昨日図書館で本を三冊借りました",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SENTENCES[0], True),
        (f"we see that {SENTENCES[0]} today and it rains and rains and rains and rains", True),  # quoted
        ("a woman stands in front of a large", True),  # a part of it
        ("today he did not know what he was going to do with some", True),  # four of its five n-grams
        ("it seems that he did not know what he was going home by bus", False),  # one of five
        ("a man stands in front of a small new building", False),
        (SENTENCES[2], False),  # too short for an n-gram: `Exclusion.matches` compares it as a whole
        ("私は昨日図書館で本を三冊返しました", True),
        ("私は昨日学校で本を五冊読みました", False),
        ("", False),
    ],
)
def test_what_overlaps(text, found):
    assert OverlapIndex(SENTENCES, NgramOverlap()).overlaps([text]).tolist() == [found]


def test_the_rule_of_gpt_3_is_any_ngram():
    index = OverlapIndex(SENTENCES, NgramOverlap(words=8, share=0.01))
    assert index.overlaps(["it seems that he did not know what he was going home by bus"]).tolist() == [True]


def test_parts_of_several_sentences_do_not_add_up():
    text = "a woman stands in front of a dog and he did not know what he was"
    index = OverlapIndex([f"{s} and that was the end of it for the day" for s in SENTENCES], NgramOverlap(words=4))
    assert index.overlaps([text]).tolist() == [False]


@pytest.mark.parametrize("share", [0.01, 0.4, 0.7, 1.0])
def test_sets_by_hand(share):
    draw = random.Random(0)
    sentences, texts = ([" ".join(draw.choices("ab", k=draw.randint(0, 9))) for _ in range(n)] for n in (12, 200))

    def grams(text: str) -> set[str]:
        words = text.split()
        return {" ".join(words[i : i + 3]) for i in range(len(words) - 2)}

    def overlaps(text: str) -> bool:
        mine = grams(text)
        others = [other for sentence in sentences if (other := grams(sentence)) and mine]
        return any(len(mine & other) and len(mine & other) >= share * min(len(mine), len(other)) for other in others)

    index = OverlapIndex(sentences, NgramOverlap(words=3, share=share))
    expected = [overlaps(text) for text in texts]
    assert index.overlaps(texts).tolist() == expected
    assert [bool(index.overlaps([text])[0]) for text in texts] == expected
    assert len(set(expected)) == 2


def test_nothing_to_compare():
    assert not OverlapIndex([], NgramOverlap()).overlaps(SENTENCES).any()
    assert OverlapIndex(SENTENCES, NgramOverlap()).overlaps([]).tolist() == []
    assert len(word_ngrams(SENTENCES[2:3], 8).hashes) == 0
