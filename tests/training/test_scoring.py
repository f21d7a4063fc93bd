"""Scores during a run."""

import numpy as np
import pytest

import jaxemb
from jaxemb.runs.metrics import read_metrics
from support.recipe_runs import config_of


@pytest.mark.slow
def test_sts_is_scored_and_chooses_the_best(folder):
    result = jaxemb.train(config_of("sbert_regression", folder), quiet=True)
    assert result.sts.keys() == {"untrained", "trained"}
    assert not result.heldout
    scored = {
        line["step"]: line["evaluation/sts_spearman"]
        for line in read_metrics(result.run_dir / "metrics.jsonl")
        if "evaluation/sts_spearman" in line
    }
    assert scored.keys() == {0, 2, 4}
    assert scored[4] == pytest.approx(result.sts["trained"].spearman)
    best = max((2, 4), key=lambda step: (scored[step], step))
    texts = ["one two", "red"]
    np.testing.assert_array_equal(
        jaxemb.load(f"{result.run_dir}@best").encode(texts), jaxemb.load(f"{result.run_dir}@{best}").encode(texts)
    )
    again = jaxemb.train(config_of("sbert_regression", folder), resume=True, quiet=True)
    assert again.sts == result.sts
