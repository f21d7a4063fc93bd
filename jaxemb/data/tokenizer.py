"""A WordPiece vocabulary, trained on a language-smoothed sample of the training examples."""

import collections
import logging
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import transformers
from tokenizers import trainers

from jaxemb.config import TokenizerConfig
from jaxemb.data.cache import in_chunks
from jaxemb.data.pairs.records import Record
from jaxemb.data.prepared import PreparedData, rows_by_group
from jaxemb.data.tokenizer_normalizer import with_normalizer
from jaxemb.language_tags import is_english

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The special tokens, whose ids are 0 to 4."""

CHARACTER_COVERAGE = 0.9995
"""The alphabet covers this share of each language's characters; the rest, mostly stray foreign letters, is unknown."""
LARGEST_ALPHABET = 0.5
"""The alphabet takes at most this share of the vocabulary."""

log = logging.getLogger(__name__)


def train_tokenizer(
    data: PreparedData, config: TokenizerConfig, max_length: int, seed: int = 0
) -> transformers.PreTrainedTokenizerFast:
    """Trains a BERT tokenizer (WordPiece) on the training examples; the same data and seed give the same vocabulary.

    It normalises text like training text (`normalize_text`), with NFC among others.

    Languages are drawn with probability proportional to (texts ** `config.language_exponent`); the texts of small
    languages are repeated if that needs more than they have (LaBSE, section 3.1). The English sides count as one
    language.

    The texts are read twice, for the alphabet and for the pieces, and never kept: memory holds only their distinct
    words.

    Args:
      data: the training examples.
      config: size of the vocabulary, smoothing, case.
      max_length: `model_max_length`, in tokens, special tokens included.
      seed: of the sample.
    """
    untrained = transformers.BertTokenizerFast(do_lower_case=config.lowercase).backend_tokenizer
    characters: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for language, text, _ in sample_texts(data, config, seed):
        characters[language].update(untrained.normalizer.normalize_str(text) if config.lowercase else text)
    alphabet = choose_alphabet(characters, int(config.vocab_size * LARGEST_ALPHABET))
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        # The trainer numbers `##x` pieces in the order of a randomly seeded hash map, and breaks ties between merges
        # by number. Pieces that are passed in keep their number, which makes the training deterministic.
        special_tokens=[*SPECIAL_TOKENS, *(f"##{character}" for character in alphabet if _inside_words(character))],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    texts = (text for _, text, count in sample_texts(data, config, seed) for _ in range(count))
    untrained.train_from_iterator(texts, trainer)
    vocabulary = dict(sorted(untrained.get_vocab().items(), key=lambda item: item[1]))
    log.info("%d word pieces, %d characters", len(vocabulary), len(alphabet))
    tokenizer = transformers.BertTokenizerFast(
        vocab=vocabulary, do_lower_case=config.lowercase, model_max_length=max_length
    )
    return with_normalizer(tokenizer)


def sample_texts(data: PreparedData, config: TokenizerConfig, seed: int) -> Iterator[tuple[str, str, int]]:
    """Yields (language, text, number of times to count it) of the language-smoothed sample.

    In total, it draws as many examples as there are sentences, at most `config.max_sentences`. The texts of a language
    come from its examples; the English ones from the distinct anchors and from examples that are all English. A pair of
    two languages that are not English counts as a language of its own, under both names, and gives both texts.
    """
    rng = np.random.default_rng([seed, 0x70CE])
    examples = np.bincount(data.language_of, minlength=len(data.languages))
    distinct_anchors = np.unique(data.hashes[:, 0], return_index=True)[1]
    english, all_english = np.asarray(data.english_sides) > 0, np.asarray(data.english_sides) == 2
    with_english = np.union1d(distinct_anchors[english[distinct_anchors]], np.flatnonzero(all_english))
    groups = [*rows_by_group(data.language_of, len(examples)), with_english]
    # English counts every pair that has it, even though the same English sentence occurs with many languages.
    others = examples - np.bincount(data.language_of[all_english], minlength=len(examples))
    sizes = np.append(others, english.sum())
    weights = np.where(sizes > 0, sizes.astype(np.float64) ** config.language_exponent, 0.0)
    quotas = smoothed_quotas(weights, min(config.max_sentences, len(data.train) + len(distinct_anchors)))
    for group, (rows, quota) in enumerate(zip(groups, quotas.tolist(), strict=True)):
        if not quota:
            continue
        times = np.full(len(rows), quota // len(rows))
        times[rng.permutation(len(rows))[: quota % len(rows)]] += 1
        taken = np.flatnonzero(times)
        for chunk in in_chunks(len(taken)):
            some = taken[chunk.start : chunk.stop]
            for record, count in zip(data.train.__getitems__(rows[some].tolist()), times[some].tolist(), strict=True):
                for language, text in _texts(record):
                    if is_english(language) == (group == len(examples)):
                        yield language, text, count


def _texts(record: Record) -> Iterable[tuple[str, str]]:
    """The distinct texts of an example, each with its language."""
    others = ((record.positive_lang, text) for text in (record.positive, *record.negatives))
    return dict.fromkeys([(record.anchor_lang, record.anchor), *others])


def smoothed_quotas(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers proportional to the weights that add up to `total` (largest remainders first).

    >>> smoothed_quotas(np.array([1.0, 2.0, 0.0]), 10).tolist()
    [3, 7, 0]
    """
    exact = weights / weights.sum() * total
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]] += 1
    return quotas


def choose_alphabet(characters: Mapping[str, Mapping[str, int]], most: int) -> list[str]:
    """The characters that cover `CHARACTER_COVERAGE` of each language's text, sorted.

    Args:
      characters: for each language, how often each character occurs.
      most: most entries of the vocabulary for characters. If they need more, the characters whose share is smallest in
        every language are dropped. A character that occurs inside words takes two entries (`x` and `##x`).
    """
    share: dict[str, float] = {}
    for counts in characters.values():
        total = sum(counts.values())
        covered = 0
        for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if covered >= CHARACTER_COVERAGE * total:
                break
            covered += count
            if unicodedata.category(character)[0] not in "CZ":  # the normaliser removes these
                share[character] = max(share.get(character, 0.0), count / total)
    alphabet: list[str] = []
    entries = 0
    for character in sorted(share, key=lambda character: (-share[character], character)):
        entries += 1 + _inside_words(character)
        if entries > most:
            log.warning("the vocabulary is too small for %d of %d characters", len(share) - len(alphabet), len(share))
            break
        alphabet.append(character)
    return sorted(alphabet)


# Characters that BERT's pre-tokenizer makes separate words: Chinese characters and punctuation (all ASCII symbols too).
_CHINESE = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2CEAF), (0x2F800, 0x2FA1F))


def _inside_words(character: str) -> bool:
    code = ord(character)
    alone = any(first <= code <= last for first, last in _CHINESE) or unicodedata.category(character).startswith("P")
    return not alone and (character.isalnum() or not character.isascii())
