"""A run that nobody trained."""

import json

from jaxemb.config import DataConfig, LabseObjective, TrainConfig, TrainingConfig, TsvSource
from jaxemb.runs.directory import RunDirectory


def run_without_training(folder):
    """What a run of twenty steps leaves, without a training."""
    run = RunDirectory(folder / "a <b> run")
    run.path.mkdir()
    config = TrainConfig(
        data=DataConfig(sources=(TsvSource(path="en-de.tsv"),)),
        objective=LabseObjective(),
        training=TrainingConfig(steps=20, batch_size=1024),
    )
    run.save_config(config, None)
    lines = [
        {"step": step, "time": 0.0, "train/loss": 3.0 / step, "train/negatives_per_query": 63.0}
        for step in range(1, 21)
    ]
    lines += [{"step": 10, "time": 0.0, "train/loss": 0.25}]  # taken again after a kill
    lines += [
        {"step": step, "time": 0.0, "evaluation/alignment": 0.1 + step / 100, "evaluation/uniformity": -step / 10}
        for step in (0, 10, 20)
    ]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 2')
    return run
