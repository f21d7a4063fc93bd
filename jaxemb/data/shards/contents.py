"""What a manifest says of the tokenizer, the sources, the groups and the shards."""

import dataclasses

from jaxemb.data.shards.index import ShardInfo


@dataclasses.dataclass(frozen=True)
class TokenizerInfo:
    """The tokenizer of the token ids."""

    hash: str
    dtype: str
    """Of the token ids: uint16 or uint32."""
    vocab_size: int
    prefix: tuple[int, ...]
    """Special tokens before each text, added when a batch is read."""
    suffix: tuple[int, ...]
    """Special tokens behind each text."""
    truncation_side: str


@dataclasses.dataclass(frozen=True)
class SourceInfo:
    """A source of examples."""

    name: str
    kind: str
    texts: int
    """Number of texts of its examples, or the most of them."""
    label: bool
    score: bool
    licence: str | None = None
    prompts: tuple[str, ...] = ()
    twin: bool = False
    """Whether its examples are single sentences, each paired with itself."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Examples of one source and one pair of languages."""

    source: int
    """Index into `Manifest.sources`."""
    anchor_lang: str
    positive_lang: str
    language: str
    """The language that the pairs count for (`pair_language`)."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard and its place: rows `first`, `first + 1`, ... of a lane."""

    lane: int
    first: int
    info: ShardInfo
