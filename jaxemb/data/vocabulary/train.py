"""A WordPiece vocabulary, trained on a language-smoothed sample of the training examples."""

import os

import transformers

from jaxemb.config import TokenizerConfig
from jaxemb.data.gathering.gather import Gathered
from jaxemb.data.vocabulary.counting import count_words
from jaxemb.data.vocabulary.wordpiece import train_vocabulary


def train_tokenizer(
    data: Gathered, config: TokenizerConfig, max_length: int, seed: int = 0, workers: int | None = None
) -> transformers.PreTrainedTokenizerFast:
    """Trains a BERT tokenizer (WordPiece) on the training examples; the same data and seed give the same vocabulary.

    It normalises text like training text (`normalize_text`), with NFC among others.

    Languages are drawn with probability proportional to (texts ** `config.language_exponent`); the texts of small
    languages are repeated if that needs more than they have (LaBSE, section 3.1). The English sides count as one
    language. The texts are read once and not kept: memory holds only their distinct words.

    Args:
      data: the training examples.
      config: size of the vocabulary, smoothing, case.
      max_length: `model_max_length`, in tokens, special tokens included.
      seed: of the sample.
      workers: number of processes; the number of cores when None.
    """
    counts = count_words(data.corpus, config, seed, workers or os.cpu_count() or 1)
    return train_vocabulary(counts, config, max_length)
