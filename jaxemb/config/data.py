"""Settings of the data: cleaning, the held-out split, batches, the vocabulary."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Settings
from jaxemb.config.sources import Source


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
    """Folder that relative paths start from. `${NAME}` in any string is replaced by the environment variable NAME."""
    sources: tuple[Source, ...]
    """Sources of examples (`kind: gettext | tsv | moses | text | nli | sts | jsonl | tfds`); chosen in YAML."""
    filters: FilterConfig = FilterConfig()
    """What a pair must satisfy."""
    exclude: tuple[str, ...] = ()
    """Files or patterns (relative to `root`) of test sentences, one per line. A pair is dropped if either side is
    one of them; the comparison ignores case, digits and punctuation."""
    holdout: HoldoutConfig = HoldoutConfig()
    """The held-out set."""
    cache_dir: str | None = None
    """Folder of converted data, reused by later runs; `$XDG_CACHE_HOME/jaxemb` or `~/.cache/jaxemb` when null."""
    language_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Languages are drawn with probability proportional to (pairs ** exponent); 1 follows the data, 0 is uniform."""
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
