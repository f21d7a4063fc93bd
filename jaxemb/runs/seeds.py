"""Scores of runs that differ in their seed alone."""

import statistics
from collections.abc import Mapping

Scores = dict[str, float]
"""By name: held-out accuracies in percent, Spearman correlations x 100, each of the trained model."""


def mean_and_sd(scores: Mapping[int, Scores]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation (n - 1; 0 of one seed) of each score over the seeds.

    >>> mean_and_sd({0: {"STS": 70.0}, 1: {"STS": 74.0}})
    {'STS': (72.0, 2.8284271247461903)}
    """
    each = list(scores.values())
    columns = {name: [one[name] for one in each] for name in each[0]}
    return {
        name: (statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0)
        for name, values in columns.items()
    }
