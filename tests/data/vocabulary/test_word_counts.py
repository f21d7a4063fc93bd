import random
from collections import Counter

import pytest
import transformers

from jaxemb.data.vocabulary import word_counts
from jaxemb.data.vocabulary.word_counts import WordCounts

TEXTS = {
    "en": ["Delete the file, please!", "the file", "", "don't (re)open www.example.org/a_b", "I\u0307stanbul Ελλάς"],
    "de": ["Öffne die Datei", "die die die", "Straße 5% <b>n</b>"],
    "ja": ["書類を開く", "書 類", "印刷機 now"],
    "hi": ["फ़ाइल हटाएँ", "हिन्दी"],
    "xx": [" \u0301a e\u0301 \ufeffa\u200bb\x00c", "a\u2028b\u3000c", "\U0001f600 ok\U00020000ok"],
}


def expected(lowercase, times):
    """Text by text, with the tokenizer that the vocabulary is for."""
    backend = transformers.BertTokenizerFast(do_lower_case=lowercase).backend_tokenizer
    words, characters = Counter(), {language: Counter() for language in TEXTS}
    for language, texts in TEXTS.items():
        for text in texts:
            normal = backend.normalizer.normalize_str(text)
            characters[language].update(normal if lowercase else text)
            for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal):
                words[word] += times[text]
    return words, characters


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("tokens", [1, 1 << 18])
def test_counts_are_those_of_each_text(monkeypatch, lowercase, tokens):
    monkeypatch.setattr(word_counts, "_TOKENS", tokens)
    monkeypatch.setattr(word_counts, "_AT_ONCE", 3)
    rng = random.Random(0)
    times = {text: rng.choice((1, 2, 7)) for texts in TEXTS.values() for text in texts}
    words, characters = expected(lowercase, times)
    counts, parts = WordCounts(lowercase), []
    for language, texts in TEXTS.items():
        counts.add(language, texts, [times[text] for text in texts])
        for text in texts:
            parts.append(WordCounts(lowercase))
            parts[-1].add(language, [text], [times[text]])
    assert counts.words == words
    assert {language: +found for language, found in counts.characters.items()} == characters

    merged = WordCounts(lowercase)
    rng.shuffle(parts)
    for part in parts:
        merged.update(part)
    assert merged.words == words
    assert {language: +found for language, found in merged.characters.items()} == characters


def test_no_texts():
    counts = WordCounts(lowercase=False)
    counts.add("en", [], [])
    assert not counts.words
    assert not counts.characters
