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
    """Longest ratio of UTF-8 byte lengths, the longer side over the shorter; looked at from 20 bytes on."""
    drop_identical: bool = True
    """Drop pairs of two languages whose sides are equal (an untranslated message, say)."""
    max_bad_line_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Refuse to start when more than this share of a file's lines is malformed."""

    @model_validator(mode="after")
    def _check(self) -> "FilterConfig":
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars: {self.min_chars} is more than max_chars ({self.max_chars})")
        return self


class HoldoutConfig(Settings):
    """The evaluation split, cut off before training. No English side of it stays in training."""

    pairs_per_language: NonNegativeInt = 1000
    """Wanted pairs a language; 0 for no split."""
    max_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.15
    """At most this share of the distinct English sides is held out."""
    min_words: PositiveInt = 2
    """Shortest English side that is held out, in words: single words are ambiguous."""


class DataConfig(Settings):
    """Where pairs come from and how they become batches."""

    root: str | None = None
    """Folder that relative paths of sources start from. `${NAME}` in any string is the environment variable NAME."""
    sources: tuple[Source, ...]
    """Sources of examples (`kind: gettext | tsv | moses | text | nli | sts | jsonl | tfds`); chosen in YAML."""
    filters: FilterConfig = FilterConfig()
    """What a pair must satisfy."""
    exclude: tuple[str, ...] = ()
    """Files or patterns (relative to `root`) of test sentences, one a line: a pair with either side among them is
    dropped; case, digits and punctuation do not count."""
    holdout: HoldoutConfig = HoldoutConfig()
    """The evaluation split."""
    cache_dir: str | None = None
    """Folder of converted data, reused by later runs; `$XDG_CACHE_HOME/jaxemb` or `~/.cache/jaxemb` when null."""
    language_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Languages are drawn with probability proportional to (pairs ** exponent); 1 follows the data, 0 is uniform."""
    max_length: PositiveInt = 64
    """Longest sequence in tokens, special tokens included; what is longer is cut."""
    length_buckets: tuple[PositiveInt, ...] | None = None
    """null packs texts into rows of `max_length` tokens, several a row: hardly any padding, few shapes to compile.
    A list (`[16, 32, 64]`, ascending, `max_length` last) gives each text a row of its own; a batch is padded to the
    smallest that fits, and texts of about one length share a batch."""
    window: PositiveInt = 16
    """Batches drawn together, and dealt out (packed) or sorted (padded) by length."""
    workers: NonNegativeInt = 1
    """Threads that prepare batches ahead; 0 prepares them in the training loop."""

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        buckets = self.length_buckets
        if buckets is not None:
            if list(buckets) != sorted(set(buckets)) or not buckets:
                raise ValueError("length_buckets: must ascend without repetition")
            if buckets[-1] != self.max_length:
                raise ValueError(
                    f"length_buckets: the last bucket ({buckets[-1]}) must equal max_length ({self.max_length})"
                )
        if not self.sources:
            raise ValueError("sources: at least one is needed")
        return self


class TokenizerConfig(Settings):
    """A WordPiece vocabulary, trained on the training examples; not used when `model.init_from` brings a tokenizer."""

    path: str | None = None
    """Folder of a tokenizer to take in place of training one, such as `jaxemb tokenizer train` or a Hugging Face model
    has; the rest here is for training."""
    vocab_size: PositiveInt = 16_000
    """Entries of the vocabulary, special tokens included."""
    language_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Exponent of the language-smoothed sampling of the training text (LaBSE: 0.3)."""
    lowercase: bool = False
    """Lower-case and strip accents first; LaBSE is cased."""
    max_sentences: PositiveInt = 2_000_000
    """Sentences drawn in all to train on."""
    min_frequency: PositiveInt = 2
    """A word piece must occur this often."""
