"""Counts of characters and words, which is all that a vocabulary is trained on."""

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from tokenizers import normalizers, pre_tokenizers

_TOKENS = 1 << 18
"""Strings between spaces that are kept before they are split into words: most occur often, and each is split once."""
_AT_ONCE = 2000
"""Of these, how many are split in one call."""


class WordCounts:
    """How often characters and words occur in texts; the order in which texts are added does not matter."""

    def __init__(self, lowercase: bool) -> None:
        """No texts yet.

        Args:
          lowercase: whether to lowercase texts and strip accents.
        """
        self.lowercase = lowercase
        self.characters: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """For each language, how often each character occurs; each text is counted once."""
        self._words: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()

    @property
    def words(self) -> Mapping[str, int]:
        """How often each word of a BERT tokenizer occurs; each text is counted as often as `add` was told."""
        self.split()
        return self._words

    def add(self, language: str, texts: Sequence[str], times: Iterable[int]) -> None:
        """Counts the texts.

        Args:
          language: of the texts.
          texts: normalised (`normalize_text`).
          times: how often to count each text.
        """
        if not texts:
            return
        self._add_characters(language, texts)
        repeated: dict[int, list[str]] = {}
        for text, count in zip(texts, times, strict=True):
            repeated.setdefault(count, []).append(text)
        for count, some in repeated.items():
            tokens = itertools.chain.from_iterable(text.split(" ") for text in some)
            if count == 1:
                self._tokens.update(tokens)
            else:
                self._tokens.update({token: count * found for token, found in Counter(tokens).items()})
        if len(self._tokens) > _TOKENS:
            self.split()

    def update(self, other: "WordCounts") -> None:
        """Adds the counts of other texts."""
        for language, counts in other.characters.items():
            self.characters[language].update(counts)
        self._words.update(other.words)

    def _add_characters(self, language: str, texts: Sequence[str]) -> None:
        joined = " ".join(texts)
        if self.lowercase:
            joined = _normalizer(lowercase=True).normalize_str(joined)
        found = np.bincount(np.frombuffer(joined.encode("utf-32-le"), np.uint32), minlength=ord(" ") + 1)
        found[ord(" ")] -= len(texts) - 1
        codes = np.flatnonzero(found)
        self.characters[language].update(dict(zip(map(chr, codes.tolist()), found[codes].tolist(), strict=True)))

    def split(self) -> None:
        """Splits what was added into words, which `words` does anyway: one process may do this for another."""
        # Strings between spaces wait, as most occur often. A space is a border of words whatever is beside it.
        by_count: dict[int, list[str]] = {}
        for token, count in self._tokens.items():
            by_count.setdefault(count, []).append(token)
        self._tokens.clear()
        normalize, split = _normalizer(self.lowercase).normalize_str, pre_tokenizers.BertPreTokenizer().pre_tokenize_str
        words = self._words
        for count, tokens in by_count.items():
            for start in range(0, len(tokens), _AT_ONCE):
                for word, _ in split(normalize(" ".join(tokens[start : start + _AT_ONCE]))):
                    words[word] += count


@functools.cache
def _normalizer(lowercase: bool) -> normalizers.Normalizer:
    """The one of `transformers.BertTokenizerFast`."""
    return normalizers.BertNormalizer(lowercase=lowercase)
