"""Settings of the data: cleaning, the held-out split, batches, the vocabulary."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Settings
from jaxemb.config.sources import Source

BatchesOf = Literal["mixed", "one_source", "one_language_pair"]
"""What the examples of a batch have in common."""


class LanguageIdentification(Settings):
    """Drops pairs of which a text is identified as another language than its source says (lid.176 of fastText, which
    tells 176 languages apart; needs the extra `langid`). A language that the model does not know is never dropped, and
    languages that it confuses, such as Croatian and Serbian, count as the same.
    """

    min_confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Smallest probability of the other language."""
    min_bytes: PositiveInt = 30
    """Texts of fewer bytes in UTF-8 are not looked at: a menu entry of one word may be of any language."""


class NgramOverlap(Settings):
    """Which training texts share too much with an evaluation sentence.

    Words are those between spaces; in Chinese, Japanese, Thai and other scripts without spaces each character is one.
    Case, digits and punctuation do not count.
    """

    words: PositiveInt = 8
    """Words of an n-gram. Sentences with fewer are only compared as a whole."""
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Drop a text that shares so much of the n-grams, of those of the shorter of the two. 13 words and 0.01 is the rule
    of GPT-3: any n-gram in common."""


class NearDuplicates(Settings):
    """Which pairs are nearly the same: MinHash over the characters of both sides (needs the extra `near-duplicates`).
    Of each set the first is kept. Case, digits and punctuation do not count.
    """

    similarity: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.8
    """Smallest estimated Jaccard similarity of the two sets of n-grams."""
    characters: PositiveInt = 4
    """Characters of an n-gram."""
    hashes: Annotated[int, Field(ge=16, le=1024)] = 128
    """Hash functions; the estimate's standard error is at most 0.5 / sqrt(hashes)."""


class FilterConfig(Settings):
    """What a pair must satisfy after Unicode NFC and whitespace normalisation."""

    min_chars: PositiveInt = 1
    """Fewest characters on either side."""
    max_chars: PositiveInt = 1000
    """Most characters on either side."""
    max_length_ratio: PositiveFloat = 9.0
    """Largest ratio of the two sides' UTF-8 byte lengths, longer over shorter; checked if the longer has 20 bytes."""
    drop_identical: bool = True
    """Drop pairs of two languages whose sides are equal, such as untranslated messages."""
    max_bad_line_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Refuse to start when more than this share of a file's lines is malformed."""
    identify_language: LanguageIdentification | None = None
    """Drop pairs with a text in another language; null does not look."""

    @model_validator(mode="after")
    def _check(self) -> "FilterConfig":
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars: {self.min_chars} is more than max_chars ({self.max_chars})")
        return self


class HoldoutConfig(Settings):
    """The held-out set, split off before training. None of its English sides stays in the training set."""

    pairs_per_language: NonNegativeInt = 1000
    """Pairs to hold out for each language; 0 for no held-out set."""
    max_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.15
    """Hold out at most this share of the distinct English sides."""
    min_words: PositiveInt = 2
    """Fewest words of an English side that is held out: single words are ambiguous."""


class DataConfig(Settings):
    """Where examples come from and how they become batches."""

    root: str | None = None
    """Folder or URL that relative paths start from. `${NAME}` in any string is replaced by the environment variable
    NAME."""
    sources: tuple[Source, ...]
    """Sources of examples (`kind: gettext | tsv | moses | tmx | text | nli | sts | jsonl | parquet | hf | tfds`);
    chosen in YAML."""
    prepared: str | None = None
    """Folder or URL of data that `jaxemb data prepare` made of this config: the sources are then not read."""
    filters: FilterConfig = FilterConfig()
    """What a pair must satisfy."""
    exclude: tuple[str, ...] = ()
    """Files or patterns (relative to `root`) of test sentences: lines, tables (all cells; of an STS file the sentences)
    or JSON lines. A pair is dropped if either side is one of them; the comparison ignores case, digits and
    punctuation."""
    exclude_ngrams: NgramOverlap | None = None
    """Drop, in addition, pairs of which a side shares many n-grams with a sentence of `exclude`; null does not."""
    near_duplicates: NearDuplicates | None = None
    """Drop pairs that are nearly the same as an earlier one; null drops equal pairs only."""
    holdout: HoldoutConfig = HoldoutConfig()
    """The held-out set."""
    cache_dir: str | None = None
    """Folder of converted data, reused by later runs; `$XDG_CACHE_HOME/jaxemb` or `~/.cache/jaxemb` when null."""
    language_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Languages are drawn with probability proportional to (pairs ** exponent); 1 follows the data, 0 is uniform."""
    language_cap: PositiveInt | None = None
    """Two languages with more pairs than this are drawn as if they had so many (LaBSE: 100 million); null for no limit.
    All their pairs are used, but each less often."""
    source_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Sources are drawn with probability proportional to weight * (examples ** exponent), before the languages'
    exponent and cap; 1 follows the data, 0 draws from each as often as its `weight` says."""
    batches: BatchesOf = "mixed"
    """What a batch is made of: `mixed`, examples of all sources and languages; `one_source`, for sources with different
    texts, labels, scores or objectives; or `one_language_pair`, whose negatives are harder. Pairs of languages that
    fill no batch alone share one."""
    max_length: PositiveInt = 64
    """Longest sequence in tokens, special tokens included; longer texts are cut."""
    anchor_prompt: str | None = None
    """Text put before each anchor in training, such as `query: `; null for `model.prompt`. The model offers it as the
    prompt `query`."""
    positive_prompt: str | None = None
    """The same for positives and hard negatives, such as `passage: `; the model offers it as the prompt `document`."""
    length_buckets: tuple[PositiveInt, ...] | None = None
    """null packs several texts into each row of `max_length` tokens: hardly any padding, and few shapes to compile.
    A list (`[16, 32, 64]`, ascending, `max_length` last) gives each text its own row: texts of similar length share a
    batch, which is padded to the smallest length that fits."""
    window: PositiveInt = 16
    """Batches drawn together; their examples are distributed (packed) or sorted (padded) by length."""
    workers: NonNegativeInt = 1
    """Threads that prepare batches ahead; 0 prepares them in the training loop."""

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        buckets = self.length_buckets
        if buckets is not None:
            if list(buckets) != sorted(set(buckets)) or not buckets:
                raise ValueError("length_buckets: must be strictly ascending")
            if buckets[-1] != self.max_length:
                raise ValueError(
                    f"length_buckets: the last bucket ({buckets[-1]}) must equal max_length ({self.max_length})"
                )
        if not self.sources:
            raise ValueError("sources: at least one is needed")
        return self


class TokenizerConfig(Settings):
    """A WordPiece vocabulary, trained on the training examples; not used with `model.init_from`, which has its own."""

    path: str | None = None
    """Folder of an existing tokenizer, from `jaxemb tokenizer train` or a Hugging Face model; null trains one, with the
    settings below."""
    vocab_size: PositiveInt = 16_000
    """Entries of the vocabulary, special tokens included."""
    language_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Exponent of the language-smoothed sampling of these sentences (LaBSE: 0.3)."""
    lowercase: bool = False
    """Lowercase and strip accents; LaBSE is cased."""
    max_sentences: PositiveInt = 2_000_000
    """Total number of sentences that the vocabulary is trained on."""
    min_frequency: PositiveInt = 2
    """Fewest occurrences of a word piece."""
