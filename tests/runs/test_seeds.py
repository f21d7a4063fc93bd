import numpy as np
import pytest

from jaxemb.runs.seeds import mean_and_sd


def test_mean_and_deviation_of_a_sample():
    scores = {seed: {"a": float(seed), "b": 7.0} for seed in (3, 5, 10)}
    assert mean_and_sd(scores) == {"a": pytest.approx((6.0, np.std([3, 5, 10], ddof=1))), "b": (7.0, 0.0)}
    assert mean_and_sd({4: {"a": 2.0}}) == {"a": (2.0, 0.0)}
