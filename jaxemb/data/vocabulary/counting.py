"""Counts the characters and words of a sample of the corpus, in several processes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxemb.config import TokenizerConfig
from jaxemb.data.gathering.chunks import Chunk
from jaxemb.data.gathering.corpus import Corpus
from jaxemb.data.gathering.processes import processes
from jaxemb.data.vocabulary.sampling import NOT_ENGLISH, Sample, choose_sample
from jaxemb.data.vocabulary.word_counts import WordCounts
from jaxemb.language_tags import is_english

SMALL = 1 << 19
"""Samples of fewer examples are counted in this process: another one takes seconds to start."""
_TASK = 1 << 15
"""About so many examples are counted in one task."""


@dataclass(frozen=True)
class _Part:
    """What is drawn of a chunk, as `Sample` has it."""

    path: Path
    source: int
    row: np.ndarray
    text: np.ndarray
    times: np.ndarray


def count_words(corpus: Corpus, config: TokenizerConfig, seed: int, workers: int) -> WordCounts:
    """Counts the characters and words of the language-smoothed sample (`choose_sample`); each text is read once.

    The counts depend on the examples that are trained on, the settings and the seed, and on nothing else. Memory holds
    the distinct words and the places of the sample.

    Args:
      corpus: at least one row is `TRAIN`.
      config: size of the sample, smoothing, case.
      seed: of the sample.
      workers: number of processes.
    """
    sample = choose_sample(corpus, config, seed)
    tasks = list(_tasks(corpus, sample))
    counts = WordCounts(config.lowercase)
    if workers < 2 or len(sample) < SMALL:
        for task in tasks:
            _count(task, counts)
        return counts
    with processes(min(workers, len(tasks))) as pool:
        results = [pool.submit(_counted, task, config.lowercase) for task in tasks]
        while results:
            counts.update(results.pop(0).result())
    return counts


def _tasks(corpus: Corpus, sample: Sample) -> Iterator[list[_Part]]:
    """The sample in parts of about `_TASK` examples, each part of one chunk."""
    task: list[_Part] = []
    size = 0
    for index in np.unique(sample.chunk).tolist():
        first, stop = np.searchsorted(sample.chunk, [index, index + 1]).tolist()
        for start in range(first, stop, _TASK):
            own = slice(start, min(start + _TASK, stop))
            chunk = corpus.chunks[index]
            task.append(_Part(chunk.path, chunk.source, sample.row[own], sample.text[own], sample.times[own]))
            size += own.stop - own.start
            if size >= _TASK:
                yield task
                task, size = [], 0
    if task:
        yield task


def _counted(task: Sequence[_Part], lowercase: bool) -> WordCounts:
    counts = WordCounts(lowercase)
    _count(task, counts)
    counts.split()
    return counts


def _count(task: Sequence[_Part], counts: WordCounts) -> None:
    texts: dict[str, tuple[list[str], list[int]]] = {}
    for part in task:
        for language, text, times in _texts(part):
            own = texts.setdefault(language, ([], []))
            own[0].append(text)
            own[1].append(times)
    for language, (some, times_of) in texts.items():
        counts.add(language, some, times_of)


def _texts(part: _Part) -> Iterator[tuple[str, str, int]]:
    """Yields (language, text, number of times to count it); all English texts have the language `en`."""
    chunk = Chunk(part.path, part.source)  # opened here: an open one cannot go to another process
    table = chunk.table.select(["anchor", "positive", "negatives"]).take(part.row)
    columns = [table[name].to_pylist() for name in table.column_names]
    languages = [chunk.languages[index] for index in chunk.language_of[part.row].tolist()]
    for anchor, positive, negatives, (anchor_lang, positive_lang), text, times in zip(
        *columns, languages, part.text.tolist(), part.times.tolist(), strict=True
    ):
        if text != NOT_ENGLISH:
            yield "en", (anchor, positive, *negatives)[text], times
            continue
        others: Iterable[str] = () if is_english(positive_lang) else (positive, *negatives)
        own = () if is_english(anchor_lang) else ((anchor_lang, anchor),)
        for language, text_ in dict.fromkeys([*own, *((positive_lang, other) for other in others)]):
            yield language, text_, times
