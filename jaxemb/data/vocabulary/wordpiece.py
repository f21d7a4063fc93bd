"""A BERT tokenizer whose WordPiece vocabulary is trained on counted words."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

import tokenizers
import transformers
from tokenizers import models, pre_tokenizers, trainers

from jaxemb.config import TokenizerConfig
from jaxemb.data.vocabulary.normalizer import with_normalizer
from jaxemb.data.vocabulary.word_counts import WordCounts
from jaxemb.errors import UserError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""The special tokens, whose ids are 0 to 4."""

CHARACTER_COVERAGE = 0.9995
"""The alphabet covers this share of each language's characters; the rest, mostly stray foreign letters, is unknown."""
LARGEST_ALPHABET = 0.5
"""The alphabet takes at most this share of the vocabulary."""

_MOST = (1 << 31) - 1
"""The trainer counts pairs of pieces up to here."""
_AT_ONCE = 1000
"""Words that the trainer gets in one text."""

log = logging.getLogger(__name__)


def train_vocabulary(
    counts: WordCounts, config: TokenizerConfig, max_length: int
) -> transformers.PreTrainedTokenizerFast:
    """Trains a BERT tokenizer (WordPiece); the same counts give the same vocabulary.

    It normalises text like training text (`normalize_text`), with NFC among others.

    Args:
      counts: of the texts, counted with `config.lowercase`.
      config: size of the vocabulary, case.
      max_length: `model_max_length`, in tokens, special tokens included.

    Raises:
      UserError: if there is more text than the trainer can count.
    """
    alphabet = choose_alphabet(counts.characters, int(config.vocab_size * LARGEST_ALPHABET))
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
    _check_size(counts.words)
    pieces = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
    pieces.train_from_iterator(repeated_words(counts.words), trainer)
    vocabulary = dict(sorted(pieces.get_vocab().items(), key=lambda item: item[1]))
    log.info("%d word pieces, %d characters, %d distinct words", len(vocabulary), len(alphabet), len(counts.words))
    tokenizer = transformers.BertTokenizerFast(
        vocab=vocabulary, do_lower_case=config.lowercase, model_max_length=max_length
    )
    return with_normalizer(tokenizer)


def repeated_words(counts: Mapping[str, int]) -> Iterator[str]:
    """Yields texts with each word as often as it was counted; the trainer takes no counts.

    Words of one character are left out: the trainer gets the alphabet, and learns from pairs of characters.

    >>> list(repeated_words({"new": 2, "a": 9, "file": 1}))
    ['new new file ']
    """
    text: list[str] = []
    room = _AT_ONCE
    for word, count in counts.items():
        left = count if len(word) > 1 else 0
        while left:
            taken = min(left, room)
            text.append(f"{word} " * taken)
            left -= taken
            room -= taken
            if not room:
                yield "".join(text)
                text, room = [], _AT_ONCE
    if text:
        yield "".join(text)


def _check_size(words: Mapping[str, int]) -> None:
    """Raises UserError if the trainer's count of a pair of characters could overflow: it would not notice."""
    if sum(count * (len(word) - 1) for word, count in words.items()) <= _MOST:
        return
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    character, most = characters.most_common(1)[0]
    if most > _MOST:
        raise UserError(
            f"tokenizer.max_sentences: the sample has {character!r} {most:,} times, and the trainer counts to "
            f"{_MOST:,}; draw fewer sentences"
        )


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
