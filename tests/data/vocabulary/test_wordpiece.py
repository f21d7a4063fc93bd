import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from tokenizers import trainers

from data.conftest import sentences
from jaxemb.config import TokenizerConfig
from jaxemb.data.vocabulary import wordpiece as vocabulary
from jaxemb.data.vocabulary.word_counts import WordCounts
from jaxemb.data.vocabulary.wordpiece import choose_alphabet, repeated_words, train_vocabulary
from jaxemb.errors import UserError

CONFIG = TokenizerConfig(vocab_size=300)
TESTS = Path(__file__).parents[2]


def counted(config=CONFIG):
    counts = WordCounts(config.lowercase)
    for language, texts in zip(("en", "de", "ja"), zip(*sentences(), strict=True), strict=True):
        counts.add(language, texts, [1 + len(text) % 3 for text in texts])
    return counts


@pytest.mark.parametrize("lowercase", [False, True])
def test_the_vocabulary_is_that_of_the_texts(lowercase):
    """Trained on words and counts, it is what the trainer learns from the texts themselves."""
    config = TokenizerConfig(vocab_size=250, lowercase=lowercase)
    counts = counted(config)
    untrained = transformers.BertTokenizerFast(do_lower_case=lowercase).backend_tokenizer
    alphabet = choose_alphabet(counts.characters, 125)
    trainer = trainers.WordPieceTrainer(
        vocab_size=250,
        min_frequency=config.min_frequency,
        special_tokens=[*vocabulary.SPECIAL_TOKENS, *(f"##{c}" for c in alphabet if vocabulary._inside_words(c))],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    texts = [text for texts in zip(*sentences(), strict=True) for text in texts]
    untrained.train_from_iterator([text for text in texts for _ in range(1 + len(text) % 3)], trainer)
    trained = train_vocabulary(counts, config, 16).get_vocab()
    assert trained == untrained.get_vocab()
    assert len(trained) == 250


def test_training_is_deterministic_across_processes():
    # The trainer's hash maps are seeded by the process.
    code = (
        "import json; from data.vocabulary.test_wordpiece import *;"
        "print(json.dumps(train_vocabulary(counted(), CONFIG, 16).get_vocab()))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=TESTS, check=True, capture_output=True, text=True).stdout
    assert json.loads(output) == train_vocabulary(counted(), CONFIG, 16).get_vocab()


def test_words_are_repeated_in_short_texts():
    counts = {"often": 2500, "a": 10**9, "some": 700, "once": 1}
    texts = list(repeated_words(counts))
    assert [len(text.split()) for text in texts] == [1000, 1000, 1000, 201]
    words = " ".join(texts).split()
    assert {word: words.count(word) for word in counts} == {**counts, "a": 0}


def test_more_text_than_the_trainer_counts_is_refused():
    counts = counted()
    counts._words.update({"ab": 2**31})
    with pytest.raises(UserError, match=r"tokenizer.max_sentences: the sample has 'a' 2,147,\d+,\d+ times"):
        train_vocabulary(counts, CONFIG, 16)
    # Many pairs of characters, but none of them too often.
    vocabulary._check_size({"ab": 2**31 - 1, "cd": 2**31 - 1})


def test_alphabet_covers_each_language_however_small():
    characters = {"en": {"a": 10**6, "b": 10**6, "é": 1}, "th": {"ก": 60, "ข": 40, " ": 50}}
    assert choose_alphabet(characters, 100) == ["a", "b", "ก", "ข"]


def test_too_small_a_vocabulary_drops_the_rarest(caplog):
    with caplog.at_level(logging.WARNING):
        # Chinese characters take one entry of the vocabulary, letters two.
        assert choose_alphabet({"zh": {"中": 50, "文": 30, "a": 20}}, 3) == ["中", "文"]
    assert "too small for 1 of 3 characters" in caplog.text
