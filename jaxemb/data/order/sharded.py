"""Examples of shards as batches take them: special tokens added, cut to `max_length`."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Integer, UInt16

from jaxemb.data.shards.record import Example
from jaxemb.errors import UserError

_DTYPES = {"label": np.int32, "score": np.float32}


@runtime_checkable
class StoredExamples(Protocol):
    """Examples by their number over all lanes."""

    def lengths(self, rows: Int[np.ndarray, " B"]) -> UInt16[np.ndarray, "B T"]:
        """Tokens of each text, without special tokens; 0 past an example's last text."""

    def examples(self, rows: Int[np.ndarray, " B"]) -> Sequence[Example]:
        """The examples."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the examples of a source have."""

    sides: tuple[str, ...]
    """Names of the texts in a batch."""
    columns: tuple[Literal["label", "score"], ...] = ()
    """Values that they have in addition."""

    def __str__(self) -> str:
        return ", ".join((*self.sides, *self.columns))


@dataclasses.dataclass(frozen=True)
class Frame:
    """How token ids become the sequence that the model reads."""

    prefix: tuple[int, ...]
    """Special tokens before each text."""
    suffix: tuple[int, ...]
    """Special tokens after it."""
    max_length: int
    """Most tokens of a sequence, special tokens included."""
    truncation_side: Literal["left", "right"] = "right"
    """Where longer texts are cut."""

    def __post_init__(self) -> None:
        if self.room < 1:
            raise UserError(
                f"data.max_length: {self.max_length} leaves no room for a text beside the tokenizer's "
                f"{len(self.prefix) + len(self.suffix)} special tokens"
            )

    @property
    def room(self) -> int:
        """Most tokens of a text."""
        return self.max_length - len(self.prefix) - len(self.suffix)

    def lengths(self, uncut: Integer[np.ndarray, "*shape"]) -> UInt16[np.ndarray, "*shape"]:
        """Tokens of the sequences of texts of so many tokens."""
        special = len(self.prefix) + len(self.suffix)
        return (np.minimum(uncut, self.room) + special).astype(np.uint16)

    def sequences(self, texts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The sequences of texts, int32; all are views of one array."""
        kept = slice(-self.room, None) if self.truncation_side == "left" else slice(self.room)
        cut = [text[kept] for text in texts]
        special = len(self.prefix) + len(self.suffix)
        sizes = np.array([len(text) for text in cut], np.int64)
        ends = np.cumsum(sizes + special)
        begins = ends - sizes - special
        whole = np.empty(int(ends[-1]) if len(ends) else 0, np.int32)
        inside = np.ones(len(whole), bool)
        for offset, token in enumerate(self.prefix):
            whole[begins + offset] = token
            inside[begins + offset] = False
        for offset, token in enumerate(reversed(self.suffix), start=1):
            whole[ends - offset] = token
            inside[ends - offset] = False
        if cut:
            whole[inside] = np.concatenate(cut)
        return [whole[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


@dataclasses.dataclass(frozen=True)
class ShardedSources:
    """The examples of shards of several sources, for `Batches`."""

    stored: StoredExamples
    """The shards."""
    count: int
    """Number of examples in them."""
    frame: Frame
    """The special tokens, and the length that texts are cut to."""
    contents: tuple[Contents, ...]
    """Of each source."""

    def of_sources(self, sources: frozenset[int]) -> "ShardedExamples":
        """The examples, of which only those of these sources are asked for.

        Raises:
          UserError: if the sources have different texts or labels.
        """
        first, *others = sorted(sources)
        contents = self.contents[first]
        for source in others:
            if self.contents[source] != contents:
                raise UserError(
                    f"data.batches: the examples of data.sources.{first} ({contents}) and of data.sources.{source} "
                    f"({self.contents[source]}) do not fit one batch; set data.batches: one_source"
                )
        return ShardedExamples(self.stored, self.count, self.frame, contents)

    def texts_only(self) -> "ShardedExamples":
        """Anchor and positive of the examples of all sources, without anything else."""
        return ShardedExamples(self.stored, self.count, self.frame, Contents(("anchor", "positive")))


class ShardedExamples:
    """Examples of shards that all have the same texts and labels; those of a batch are read when it is made."""

    def __init__(self, stored: StoredExamples, count: int, frame: Frame, contents: Contents) -> None:
        """Reads nothing yet; the arguments are as of `ShardedSources`, but `contents` is that of all its sources."""
        self._stored, self._count, self._frame, self._contents = stored, count, frame, contents
        self.sides: tuple[str, ...] = contents.sides
        """Names of the texts."""
        self.lengths = _Lengths(stored, frame, len(contents.sides))
        """`lengths[rows]` is uint16 [B, C], tokens of each text, special tokens included."""

    def __len__(self) -> int:
        return self._count

    def read(self, rows: Int[np.ndarray, " B"], step: int = 0) -> tuple[list[list[np.ndarray]], dict[str, np.ndarray]]:
        """Token ids for each of `sides`, and `SIDE_hash` uint32 [B, 2], int32 `label`, float32 `score` [B]."""
        del step
        examples = self._stored.examples(rows)
        sides = range(len(self.sides))
        texts = [self._frame.sequences([example.ids[side] for example in examples]) for side in sides]
        hashes = np.array([example.hashes for example in examples], np.uint64).reshape(len(examples), -1)
        halves = hashes.view(np.uint32).reshape(*hashes.shape, 2)
        columns = {f"{side}_hash": halves[:, index] for index, side in enumerate(self.sides)}
        for name in self._contents.columns:
            columns[name] = np.array([getattr(example, name) for example in examples], _DTYPES[name])
        return texts, columns


@dataclasses.dataclass(frozen=True)
class _Lengths:
    """Lengths by position."""

    stored: StoredExamples
    frame: Frame
    sides: int

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.frame.lengths(self.stored.lengths(rows)[:, : self.sides])
