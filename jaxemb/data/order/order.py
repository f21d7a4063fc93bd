"""The order of a run: what each step's batch is made of, a pure function of the seed and the step."""

import functools
import math

import numpy as np
from jaxtyping import Float, Int

from jaxemb.config.data import BatchesOf
from jaxemb.data.order.kinds import kinds_of_batches
from jaxemb.data.order.lanes import Lanes
from jaxemb.data.order.layout import Layout
from jaxemb.data.order.schedule import Schedule
from jaxemb.data.order.weights import PERIOD

VERSION = 2
"""Counts up when the same data, settings and seed would come in another order; runs and shards record it. 1: languages
came from a shuffled table, and there were no lanes."""


class Order:
    """Which examples each step takes. Seeking is free, and memory does not grow with the number of examples.

    There are several kinds of batches if `data.batches` is not `mixed`: a source or a pair of languages each. Each kind
    is a sequence of its own (`Lanes`), and its batch number n has the positions from n * batch_size on.
    """

    def __init__(
        self, layout: Layout, rate: Float[np.ndarray, " G"], batches: BatchesOf, batch_size: int, seed: int
    ) -> None:
        """Plans the order; no example is touched.

        Args:
          layout: where the rows are.
          rate: how often a row of each group is drawn (`rates`).
          batches: what a batch is made of.
          batch_size: global examples a step.
          seed: of all order.

        Raises:
          UserError: if there are fewer rows than a batch takes.
        """
        self.batch_size, self.seed = batch_size, seed
        self.streams = math.gcd(len(layout.counts), batch_size)
        """Row r of each batch comes from the lanes that are r modulo this: the number of lanes, if that divides the
        batch."""
        self.kinds = tuple(kinds_of_batches(layout, batches, batch_size))
        """Indices of the groups that each kind of batch takes."""
        self.sources: tuple[frozenset[int], ...] = tuple(
            frozenset(layout.groups[group].source for group in kind.tolist()) for kind in self.kinds
        )
        """Indices of the sources of each kind."""
        self._lanes = functools.lru_cache(maxsize=1024)(
            lambda kind: Lanes(layout, self.kinds[kind], rate[self.kinds[kind]], seed)
        )
        shares = np.array([(layout.counts[:, kind].sum(axis=0) * rate[kind]).sum() for kind in self.kinds])
        quotas = 1 + np.rint(shares / shares.sum() * (PERIOD - len(shares))).astype(np.int64)
        self._turns = Schedule(quotas[None], seed)

    def turns(self, steps: Int[np.ndarray, " S"]) -> tuple[Int[np.ndarray, " S"], Int[np.ndarray, " S"]]:
        """The kind of the batch at each step, and how many of that kind came before it."""
        return self._turns.at(np.zeros(len(steps), np.int64), steps)

    def source_of(self, step: int) -> int | None:
        """Index of the source of a step's batch; None if it may be of several."""
        sources = self.sources[int(self.turns(np.array([step]))[0][0])]
        return next(iter(sources)) if len(sources) == 1 else None

    def rows(self, positions: Int[np.ndarray, " B"], kind: int = 0) -> Int[np.ndarray, " B"]:
        """The examples at these positions of the sequence of a kind."""
        return self._lanes(kind).examples(positions)
