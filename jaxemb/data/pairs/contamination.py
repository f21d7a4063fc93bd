"""Finds training texts that share much of their wording with an evaluation sentence."""

from collections.abc import Sequence

import numpy as np

from jaxemb.config import NgramOverlap
from jaxemb.data.pairs.ngrams import Ngrams, word_ngrams


class OverlapIndex:
    """The n-grams of evaluation sentences, sorted: 12 bytes each, whatever the size of the training set.

    A text overlaps with an evaluation sentence if they share enough of the distinct n-grams of the one that has fewer.
    So a text that quotes a sentence, a part of a sentence, and a copy with a changed word are all found. PaLM
    (Chowdhery et al. 2022) asks for 70 % of the 8-grams of an evaluation example, GPT-3 (Brown et al. 2020) for a
    single 13-gram.
    """

    def __init__(self, keys: Sequence[str], config: NgramOverlap) -> None:
        """Builds the index.

        Args:
          keys: decontamination keys of the evaluation sentences. Those of fewer words than an n-gram are not found.
          config: `data.exclude_ngrams`.
        """
        self._config = config
        hashes, sentences = _distinct(word_ngrams(keys, config.words))
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._sentences = hashes[order], sentences[order].astype(np.int32)
        self._sizes = np.bincount(sentences, minlength=len(keys))

    def overlaps(self, keys: Sequence[str]) -> np.ndarray:
        """Which texts overlap with an evaluation sentence; it depends on each text alone.

        Args:
          keys: decontamination keys of N texts. A few thousand at once take a tenth of the time of one by one.

        Returns: bool [N].
        """
        found = np.zeros(len(keys), bool)
        hashes, texts = _distinct(word_ngrams(keys, self._config.words))
        first = np.searchsorted(self._hashes, hashes)
        count = np.searchsorted(self._hashes, hashes, side="right") - first
        if not count.any():
            return found
        sizes = np.bincount(texts, minlength=len(keys))
        place = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
        pairs = np.repeat(texts, count) * len(self._sizes) + self._sentences[place]
        pairs, shared = np.unique(pairs, return_counts=True)
        text, sentence = np.divmod(pairs, len(self._sizes))
        enough = shared >= self._config.share * np.minimum(sizes[text], self._sizes[sentence])
        found[text[enough]] = True
        return found


def _distinct(ngrams: Ngrams) -> tuple[np.ndarray, np.ndarray]:
    """Each n-gram of a text once: the hashes, and the text of each, int64; ordered by text."""
    texts = np.repeat(np.arange(len(ngrams.starts) - 1), np.diff(ngrams.starts))
    order = np.lexsort((ngrams.hashes, texts))
    hashes, texts = ngrams.hashes[order], texts[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (texts[1:] != texts[:-1])
    return hashes[new], texts[new]
