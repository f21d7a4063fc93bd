"""The language-smoothed sample of texts that a vocabulary is trained on, drawn without holding the corpus."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jaxemb.config import TokenizerConfig
from jaxemb.data.gathering.corpus import Corpus
from jaxemb.data.pairs.holdout import mix
from jaxemb.language_tags import is_english

NOT_ENGLISH = -1
"""`Sample.text` of an example of which the texts that are not English are drawn."""
_SALT = 0x70CE


@dataclass(frozen=True)
class Sample:
    """The examples and English texts that are drawn, sorted by chunk and row."""

    chunk: np.ndarray
    """int32 [M], index of the chunk of each."""
    row: np.ndarray
    """int64 [M], position in the chunk."""
    text: np.ndarray
    """int16 [M], the English text that is drawn: 0 for the anchor, 1 for the positive, then the hard negatives.
    `NOT_ENGLISH` if the texts that are not English are drawn."""
    times: np.ndarray
    """int64 [M], how often each is drawn."""

    def __len__(self) -> int:
        return len(self.chunk)


def choose_sample(corpus: Corpus, config: TokenizerConfig, seed: int) -> Sample:
    """Draws examples that are trained on.

    Languages are drawn with probability proportional to (examples ** `config.language_exponent`); the examples of small
    languages are repeated if that needs more than they have (LaBSE, section 3.1). The English sides of all examples
    count as one language, of which distinct texts are drawn. A pair of two languages that are not English counts as a
    language of its own, and gives both texts. In total, as many examples are drawn as there are sentences (examples,
    distinct anchors, and hard negatives of examples that are all English), at most `config.max_sentences`.

    Which examples of a language are drawn depends on hashes of their content and the seed. How the examples are
    distributed over chunks makes no difference.

    The numbers in the chunks are read twice, and memory holds some 40 bytes for each example that is drawn.

    Args:
      corpus: at least one row is `TRAIN`.
      config: smoothing and size of the sample.
      seed: of the choice.
    """
    english = np.array([(is_english(anchor), is_english(positive)) for _, anchor, positive in corpus.groups])
    only_english = np.asarray(english.all(1))
    examples, total = _sizes(corpus, only_english, config.max_sentences)
    others = np.bincount(corpus.language_of_group, examples * ~only_english, len(corpus.languages))
    # English counts every pair that has it, even though the same English sentence occurs with many languages.
    sizes = np.append(others, examples[english.any(1)].sum())
    weights = np.where(sizes > 0, sizes.astype(np.float64) ** config.language_exponent, 0.0)
    quotas = smoothed_quotas(weights, total)

    drawn = [_Smallest(quota) for quota in quotas.tolist()]
    language_of = np.where(only_english, -1, corpus.language_of_group)
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index)
        group = corpus.group_of(index, rows)
        language, hashes = language_of[group], mix(chunk.column("pair")[rows], seed + _SALT)
        for number in np.unique(language[language >= 0]).tolist():
            own = language == number
            drawn[number].add(hashes[own], index, rows[own], NOT_ENGLISH)
        for text, column in enumerate(_text_hashes(corpus, index)):
            own = english[group, min(text, 1)]
            drawn[-1].add(mix(column[rows[own]], seed + _SALT), index, rows[own], text)
    return _joined(drawn, quotas)


def smoothed_quotas(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers proportional to the weights that add up to `total` (largest remainders first).

    >>> smoothed_quotas(np.array([1.0, 2.0, 0.0]), 10).tolist()
    [3, 7, 0]
    """
    exact = weights / weights.sum() * total
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]] += 1
    return quotas


def _sizes(corpus: Corpus, only_english: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """The number of examples of each group, and of the sentences that are drawn one by one, the latter up to `most`."""
    examples = np.zeros(len(corpus.groups), np.int64)
    negatives = 0
    anchors = _Smallest(most)
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index)
        own = np.bincount(corpus.group_of(index, rows), minlength=len(examples))
        examples += own
        negatives += chunk.negatives * int(own[only_english].sum())
        if examples.sum() < most:
            anchors.add(mix(chunk.column("anchor_hash")[rows], 0), index, rows, 0)
    return examples, min(most, int(examples.sum()) + len(anchors.found()) + negatives)


def _text_hashes(corpus: Corpus, index: int) -> Iterator[np.ndarray]:
    """uint64 [rows], hashes of the anchors, the positives, and each place of the hard negatives of a chunk."""
    chunk = corpus.chunks[index]
    yield chunk.column("anchor_hash")
    yield chunk.column("positive_hash")
    if chunk.negatives:
        yield from chunk.table["negative_hashes"].chunk(0).flatten().to_numpy().reshape(len(chunk), -1).T


_PLACE = np.dtype([("hash", np.uint64), ("chunk", np.int32), ("row", np.int32), ("text", np.int16)])


class _Smallest:
    """The places with the smallest hashes, of which no two are equal (bottom-k sampling, Cohen and Kaplan 2007)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = np.zeros(0, _PLACE)
        self._new: list[np.ndarray] = []
        self._limit = np.uint64((1 << 64) - 1)

    def add(self, hashes: np.ndarray, chunk: int, rows: np.ndarray, text: int) -> None:
        """Looks at places in a chunk."""
        if not self._most:
            return
        there = hashes <= self._limit
        places = np.zeros(np.count_nonzero(there), _PLACE)
        places["hash"], places["row"], places["chunk"], places["text"] = hashes[there], rows[there], chunk, text
        self._new.append(places)
        if sum(map(len, self._new)) > self._most:
            self.found()

    def found(self) -> np.ndarray:
        """`_PLACE` [k], by hash."""
        places = np.concatenate([self._kept, *self._new])
        places = places[np.unique(places["hash"], return_index=True)[1]]
        self._kept, self._new = places[: self._most].copy(), []
        if len(self._kept) == self._most:
            self._limit = self._kept["hash"][-1]
        return self._kept


def _joined(drawn: list[_Smallest], quotas: np.ndarray) -> Sample:
    """The sample: each language's places, repeated until they fill its quota, those with the smallest hashes first."""
    places, times = [], []
    for smallest, quota in zip(drawn, quotas.tolist(), strict=True):
        if quota:
            found = smallest.found()
            places.append(found)
            times.append(np.full(len(found), quota // len(found)))
            times[-1][: quota % len(found)] += 1
    every = np.concatenate(places)
    order = np.lexsort((every["text"], every["row"], every["chunk"]))
    every = every[order]
    return Sample(every["chunk"], every["row"].astype(np.int64), every["text"], np.concatenate(times)[order])
