from collections import Counter

import numpy as np
import pytest

from data.conftest import sentences
from jaxemb.config import TokenizerConfig
from jaxemb.data.gathering.corpus import DUPLICATE, HELD_OUT
from jaxemb.data.pairs.records import Record
from jaxemb.data.vocabulary.sampling import NOT_ENGLISH, choose_sample, smoothed_quotas
from support.chunked import corpus_of

TRIPLES = sentences()


def pair(anchor, positive, languages="en de", negatives=()):
    anchor_lang, positive_lang = languages.split()
    return Record(anchor, positive, tuple(negatives), anchor_lang=anchor_lang, positive_lang=positive_lang)


def records():
    """500 pairs with German, 300 with Japanese and as many English texts, some the other way round."""
    german = [pair(de, en, "de en") if len(en) % 2 else pair(en, de) for en, de, _ in TRIPLES]
    return german + [pair(en, ja, "en ja") for en, _, ja in TRIPLES[:300]]


def drawn(corpus, seed=0, **settings):
    """(language or `en`, texts of the example or English text) -> how often it is drawn."""
    sample = choose_sample(corpus, TokenizerConfig(**settings), seed)
    columns = sample.chunk, sample.row, sample.text, sample.times
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for chunk, row, text, times in zip(*(column.tolist() for column in columns), strict=True):
        values = corpus.chunks[chunk].table.slice(row, 1).to_pylist()[0]
        texts = (values["anchor"], values["positive"], *values["negatives"])
        language = corpus.languages[corpus.language_of(chunk)[row]]
        found[(language, texts) if text == NOT_ENGLISH else ("en", (texts[text],))] += times
    return found


def by_language(sample):
    counts: Counter[str] = Counter()
    for (language, _), times in sample.items():
        counts[language] += times
    return counts


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_of(records(), tmp_path_factory.mktemp("corpus") / "one")


def test_the_sample_is_smoothed(corpus):
    anchors = len({record.anchor for record in records()})
    total = 800 + anchors
    sample = drawn(corpus, language_exponent=0.3)
    counts = by_language(sample)
    weights = {"de": 500**0.3, "ja": 300**0.3, "en": 800**0.3}
    assert sum(counts.values()) == total
    for language, weight in weights.items():
        assert abs(counts[language] - total * weight / sum(weights.values())) <= 1
    # Smaller languages are repeated, each of their sentences about as often as the others.
    for language, distinct in {"de": 500, "ja": 300, "en": 500}.items():
        repeats = [times for (own, _), times in sample.items() if own == language]
        assert len(repeats) == min(distinct, counts[language])
        assert max(repeats) - min(repeats) <= 1
    assert counts["ja"] > 300

    follows = by_language(drawn(corpus, language_exponent=1.0, max_sentences=160))
    assert follows == {"de": 50, "ja": 30, "en": 80}
    uniform = by_language(drawn(corpus, language_exponent=0.0))
    assert max(uniform.values()) - min(uniform.values()) <= 1


@pytest.mark.parametrize("most", [100, 1200, 2_000_000])
def test_neither_order_nor_chunks_make_a_difference(corpus, tmp_path, most):
    expected = drawn(corpus, max_sentences=most)
    for seed in range(3):
        other = corpus_of(records(), tmp_path / str(seed), chunks=7, seed=seed)
        assert drawn(other, max_sentences=most) == expected
    assert drawn(corpus, seed=1, max_sentences=most) != expected


def test_a_smaller_sample_is_a_part_of_a_larger_one(corpus):
    """So the vocabulary changes little with the size of the sample."""
    small, large = drawn(corpus, max_sentences=100), drawn(corpus, max_sentences=400)
    assert len(small) == sum(small.values()) == 100
    assert small.keys() < large.keys()


def test_only_what_is_trained_on_is_drawn(tmp_path):
    corpus = corpus_of(records(), tmp_path / "chunks", chunks=2)
    duplicates = set()
    for index, fates in enumerate(corpus.fates):
        texts, others = (corpus.chunks[index].table[name].to_pylist() for name in ("anchor", "positive"))
        fates[["file" in text or "Datei" in text for text in texts]] = HELD_OUT
        fates[::5] = DUPLICATE
        duplicates |= set(zip(texts[::5], others[::5], strict=True))
    sample = drawn(corpus)
    assert not any("file" in text or "Datei" in text for _, texts in sample for text in texts)
    assert not duplicates & {texts for _, texts in sample}
    assert len(duplicates) >= 160


def test_english_is_drawn_text_by_text(tmp_path):
    """Each distinct English text once, whichever place it has; other languages example by example."""
    rows = [
        pair("a query", "an answer", "en en", ["no answer", "a query 2"]),
        pair("a query", "another answer", "en en", ["no answer", "an answer"]),
        pair("eine Frage", "an answer", "de en", ["one", "two"]),
        pair("eine Frage", "une question", "de fr", ["rien", "rien"]),
        pair("eine Frage", "eine Antwort", "de de", ["nichts", "wenig"]),
    ]
    rows += [pair(f"Satz {number}", f"Text {number}", "de de", ["a", "b"]) for number in range(30)]
    sample = drawn(corpus_of(rows, tmp_path / "chunks"), language_exponent=0.0)
    english = {text for language, (text, *_) in sample if language == "en"}
    assert english == {"a query", "a query 2", "an answer", "another answer", "no answer", "one", "two"}
    assert {language for language, _ in sample} == {"en", "de", "de-fr"}
    # 35 examples, 32 distinct anchors, and 4 hard negatives of examples that are all English.
    assert sorted(by_language(sample).values()) == [23, 24, 24]
    assert max(times for (language, _), times in sample.items() if language == "en") <= 4


def test_large_languages_are_drawn_at_random(tmp_path):
    """A sample of the first rows, say, would miss what comes later."""
    rows = [pair(f"text {number}", f"Text {number}") for number in range(3000)]
    sample = drawn(corpus_of(rows, tmp_path / "chunks", chunks=3), max_sentences=600)
    for language in ("en", "de"):
        numbers = np.array([int(texts[0].split()[1]) for own, texts in sample if own == language])
        assert abs(numbers.mean() / 3000 - 0.5) < 4 * np.sqrt(1 / 12 / len(numbers))


def test_quotas_add_up():
    rng = np.random.default_rng(0)
    for _ in range(50):
        weights = rng.random(rng.integers(1, 20))
        quotas = smoothed_quotas(weights, 1000)
        assert quotas.sum() == 1000
        assert np.abs(quotas - 1000 * weights / weights.sum()).max() < 1
