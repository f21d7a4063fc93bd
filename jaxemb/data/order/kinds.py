"""Which groups may meet in a batch (`data.batches`)."""

import numpy as np
from jaxtyping import Int

from jaxemb.config.data import BatchesOf
from jaxemb.data.order.layout import Layout
from jaxemb.errors import UserError


def kinds_of_batches(layout: Layout, batches: BatchesOf, batch_size: int) -> list[Int[np.ndarray, " _"]]:
    """The groups of each kind of batch: one kind, one for each source, or one for each pair of languages.

    Groups without rows are in none.

    Pairs of languages with fewer rows than a batch are put together until they fill one.

    Raises:
      UserError: if there are fewer rows than a batch takes.
    """
    sizes = layout.counts.sum(axis=0)
    if batch_size > sizes.sum():
        raise UserError(
            f"training.batch_size: {batch_size} examples a batch, but there are only {sizes.sum()} to train on"
        )
    if batches == "mixed":
        return [np.flatnonzero(sizes)]
    found: dict[object, list[int]] = {}
    for index, group in enumerate(layout.groups):
        if sizes[index]:
            found.setdefault(group.source if batches == "one_source" else group.pair, []).append(index)
    if batches == "one_language_pair":
        return _filling(list(found.values()), sizes, batch_size)
    for source, groups in found.items():
        if (rows := sizes[groups].sum()) < batch_size:
            raise UserError(
                f"training.batch_size: {batch_size} examples a batch, but data.sources.{source} has only {rows}, and "
                "with data.batches: one_source they fill no batch; take a smaller batch, or leave the source out"
            )
    return [np.array(groups) for groups in found.values()]


def _filling(kinds: list[list[int]], sizes: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """The kinds, the smallest put together until each has a batch of rows, in the order of their first groups."""
    rows = {tuple(groups): int(sizes[groups].sum()) for groups in kinds}
    kinds = sorted(kinds, key=lambda groups: (rows[tuple(groups)], groups))
    filled: list[list[int]] = []
    rest: list[int] = []
    for groups in kinds:
        rest = rest + groups
        if sizes[rest].sum() >= batch_size:
            filled.append(rest)
            rest = []
    if rest:
        filled[-1] = filled[-1] + rest
    return [np.array(sorted(groups)) for groups in sorted(filled, key=min)]
