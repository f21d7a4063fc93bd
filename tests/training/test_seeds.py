"""One config with several seeds."""

import json

import numpy as np
import pytest

import jaxemb
from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError
from jaxemb.reporting.summary import print_seeds
from jaxemb.training.seeds import train_seeds
from support.recipe_runs import config_of, scores_of


@pytest.mark.slow
def test_several_seeds(folder, capsys):
    config = config_files.validate(TrainConfig, config_of("sbert_regression", folder), "test")
    scores = train_seeds(config, [3, 1], quiet=True)
    print_seeds(scores)
    shown = capsys.readouterr().out
    assert scores.keys() == {3, 1}
    sts = [scores[seed]["STS en.dev"] for seed in (3, 1)]
    assert sts[0] != sts[1]
    saved = json.loads((folder / "run" / "seeds.json").read_text())
    assert saved["mean_and_sd"]["STS en.dev"] == pytest.approx([np.mean(sts), np.std(sts, ddof=1)])
    assert f"{np.mean(sts):.2f}" in shown
    one = config_of("sbert_regression", folder, "alone")
    alone = jaxemb.train({**one, "training": {**one["training"], "seed": 1}}, quiet=True)
    assert alone.sts["trained"].spearman == sts[1]
    assert scores[1]["best sts_spearman"] == max(scores_of(alone.run_dir).values())
    with pytest.raises(UsageError, match=r"seed-3: there is a run already; --resume continues it"):
        train_seeds(config, [0, 3], quiet=True)
    assert not (folder / "run" / "seed-0").exists()
    with pytest.raises(UsageError, match=r"--seeds 1 1: seeds must be distinct"):
        train_seeds(config, [1, 1], quiet=True)
    assert train_seeds(config, [3, 1], resume=True, quiet=True) == scores
