"""What batches are made of."""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Lengths(Protocol):
    """Number of tokens of each text."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """Those of the examples at these positions, an integer array [B, C]."""


@runtime_checkable
class Examples(Protocol):
    """What batches are made of: `ShardedExamples` or `Sequences`, or what stands in for them."""

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the texts."""

    @property
    def lengths(self) -> Lengths:
        """Tokens of each text of an example, special tokens included."""

    def __len__(self) -> int:
        """Number of examples."""

    def read(self, rows: np.ndarray, step: int = 0) -> tuple[list[list[np.ndarray]], dict[str, np.ndarray]]:
        """Token ids of the examples at these positions, for each of `sides`, and what else a batch has of them."""


@runtime_checkable
class Sources(Protocol):
    """Examples of several sources, which may have different texts."""

    def of_sources(self, sources: frozenset[int]) -> Examples:
        """The examples, of which only those of these sources (their indices) are asked for."""
