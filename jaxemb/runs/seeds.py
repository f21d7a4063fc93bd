"""Scores of runs that differ only in their seed."""

import statistics
from collections.abc import Mapping

Scores = dict[str, float]
"""The scores of a trained model, by name: held-out accuracies in percent, Spearman correlations x 100."""


def mean_and_sd(scores: Mapping[int, Scores]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation (n - 1; 0 for one seed) of each score over the seeds.

    >>> mean_and_sd({0: {"STS": 70.0}, 1: {"STS": 74.0}})
    {'STS': (72.0, 2.8284271247461903)}
    """
    each = list(scores.values())
    columns = {name: [one[name] for one in each] for name in each[0]}
    return {
        name: (statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0)
        for name, values in columns.items()
    }
