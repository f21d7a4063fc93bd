from collections import Counter

import pytest

from data.vocabulary.test_sampling import drawn, pair, records
from jaxemb.config import TokenizerConfig
from jaxemb.data.vocabulary import counting
from jaxemb.data.vocabulary.counting import count_words
from jaxemb.data.vocabulary.wordpiece import train_vocabulary
from support.chunked import corpus_of

CONFIG = TokenizerConfig(vocab_size=300, max_sentences=700)


def as_dicts(counts):
    return dict(counts.words), {language: dict(+found) for language, found in counts.characters.items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_of(records(), tmp_path_factory.mktemp("corpus") / "one")


def test_what_is_drawn_is_counted(corpus):
    expected: Counter[str] = Counter()
    texts: dict[str, list[str]] = {"en": [], "de": [], "ja": []}
    for (language, example), times in drawn(corpus, max_sentences=700).items():
        for text in example:
            english = text.isascii() and text.split()[1] == "the"
            if english == (language == "en"):
                texts[language].append(text)
                expected.update({word: times * count for word, count in Counter(text.split()).items()})
    words, characters = as_dicts(count_words(corpus, CONFIG, 0, workers=1))
    japanese = {word for text in texts["ja"] for word in text.split()}  # which are words of one character each
    assert {word: words[word] for word in expected.keys() - japanese} == {
        word: count for word, count in expected.items() if word not in japanese
    }
    assert characters == {language: Counter("".join(some)) for language, some in texts.items()}
    assert sum(count for word, count in words.items() if len(word) > 1 and not word.isascii()) > 0


def test_chunks_tasks_and_processes_make_no_difference(corpus, tmp_path, monkeypatch):
    expected = as_dicts(count_words(corpus, CONFIG, 0, workers=1))
    monkeypatch.setattr(counting, "_TASK", 50)
    other = corpus_of(records(), tmp_path / "chunks", chunks=5, seed=1)
    assert as_dicts(count_words(other, CONFIG, 0, workers=1)) == expected
    monkeypatch.setattr(counting, "SMALL", 0)
    pools = []
    original = counting.processes
    monkeypatch.setattr(counting, "processes", lambda count: pools.append(count) or original(count))
    assert as_dicts(count_words(other, CONFIG, 0, workers=2)) == expected
    assert pools == [2]


def test_a_process_splits_its_words_itself(corpus):
    sample = counting.choose_sample(corpus, CONFIG, 0)
    (task,) = counting._tasks(corpus, sample)
    counts = counting._counted(task, lowercase=False)
    assert counts._words
    assert not counts._tokens


def test_a_task_is_small(corpus, monkeypatch):
    """So that no process holds the texts of the sample, however many they are."""
    added = []

    class Watched(counting.WordCounts):
        def add(self, language, texts, times):
            added.append(len(texts))
            super().add(language, texts, times)

    monkeypatch.setattr(counting, "_TASK", 50)
    monkeypatch.setattr(counting, "WordCounts", Watched)
    count_words(corpus, CONFIG, 0, workers=1)
    assert sum(added) > 600
    assert max(added) <= 50


def test_pairs_without_english_and_negatives(tmp_path):
    rows = [
        pair("eine Frage", "une question", "de fr", ["rien", "une question"]),
        pair("an answer", "eine Antwort", "en-GB de", ["nichts", "wenig"]),
    ]
    counts = count_words(corpus_of(rows, tmp_path / "chunks"), TokenizerConfig(language_exponent=0.0), 0, workers=1)
    assert counts.characters.keys() == {"de", "fr", "en"}
    assert sum(counts.characters["fr"].values()) == len("une question") + len("rien")
    assert sum(counts.characters["de"].values()) == sum(map(len, ("eine Frage", "eine Antwort", "nichts", "wenig")))
    assert counts.words["question"] == counts.words["rien"]


def test_a_vocabulary_of_it(corpus):
    tokenizer = train_vocabulary(count_words(corpus, CONFIG, 0, workers=1), CONFIG, 16)
    assert {"delete", "Datei", "書", "類"} <= tokenizer.get_vocab().keys()
    assert len(tokenizer) <= 300
