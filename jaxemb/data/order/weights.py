"""How often the rows of each group are drawn, and what that means in each lane."""

import numpy as np
from jaxtyping import Float, Int

from jaxemb.config import DataConfig
from jaxemb.data.order.layout import Layout

PERIOD = 1 << 32
"""Positions of a lane after which the shares of its groups are exact, where they do not follow the data."""
_CLOSE = 1e-4
_ROUNDS = 200


def rates(layout: Layout, config: DataConfig) -> Float[np.ndarray, " G"]:
    """How often a row of each group is drawn, relative to rows of other groups; 0 for a group without rows.

    It is weight * sources ** (source_exponent - 1) * min(pair, language_cap) ** language_exponent / pair, where
    `sources` and `pair` are the numbers of rows of its source and of its two languages.
    """
    sizes = layout.counts.sum(axis=0)
    source_of = np.array([group.source for group in layout.groups])
    pairs = {pair: number for number, pair in enumerate(dict.fromkeys(group.pair for group in layout.groups))}
    pair_of = np.array([pairs[group.pair] for group in layout.groups])
    of_source, of_pair = (np.bincount(index, sizes)[index] for index in (source_of, pair_of))
    weight = np.array([config.sources[source].weight for source in source_of.tolist()])
    with np.errstate(divide="ignore", invalid="ignore"):
        most = of_pair if config.language_cap is None else np.minimum(of_pair, config.language_cap)
        rate = weight * of_source ** (config.source_exponent - 1) * most**config.language_exponent / of_pair
    return np.where(sizes > 0, rate, 0.0)


def lane_weights(counts: Int[np.ndarray, "L G"], rate: Float[np.ndarray, " G"]) -> Int[np.ndarray, "L G"]:
    """How often each group comes in a period of each lane.

    If all rows are drawn equally often, a lane's period is its rows: each comes once. Else it is `PERIOD`, and the
    weights are such that the groups' shares of the whole, over all lanes, are right: a group that is missing from a
    lane has the weight 0 there, and more in the others (iterative proportional fitting, which stays closest to
    rows * rate). Only a group whose share is more than all lanes that have a row of it can give gets less.

    Args:
      counts: rows of each group in each lane. A lane without rows has the weights 0.
      rate: as of `rates`.
    """
    there = rate[counts.any(axis=0)]
    if np.allclose(there, there[:1], rtol=1e-9, atol=0):
        return counts
    share = counts.sum(axis=0) * rate
    share = share / share.sum()
    lanes = counts.any(axis=1)
    fitted = counts[lanes] * rate
    for _ in range(_ROUNDS):
        fitted *= np.divide(share, total := fitted.sum(axis=0), out=np.zeros_like(share), where=share > 0)
        fitted /= fitted.sum(axis=1, keepdims=True) * len(fitted)
        total = fitted.sum(axis=0)
        if np.allclose(total, share, rtol=_CLOSE, atol=0):
            break
    some = fitted > 0
    ends = np.rint(np.cumsum(fitted * len(fitted), axis=1) * (PERIOD - some.sum(axis=1, keepdims=True)))
    weights = np.zeros(counts.shape, np.int64)
    weights[lanes] = np.diff(ends.astype(np.int64), axis=1, prepend=0) + some
    return weights
