"""One config trained with several seeds: what a difference between two configs must be measured against."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from jaxemb.config import TrainConfig
from jaxemb.errors import UsageError
from jaxemb.files import write_atomically
from jaxemb.training.run import TrainResult, train
from jaxemb.training.rundir import RunDirectory

Scores = dict[str, float]
"""By name: held-out accuracies in percent, Spearman correlations x 100, each of the trained model."""


def train_seeds(
    config: TrainConfig, seeds: Sequence[int], *, resume: bool = False, quiet: bool = False
) -> dict[int, Scores]:
    """Trains a run for each seed, in `output_dir`/seed-N, one after the other, and writes `output_dir`/seeds.json.

    Args:
      config: of all; `training.seed` gives way.
      seeds: each once.
      resume: continue the runs that are there, begin the others.
      quiet: print nothing.

    Returns: the scores of each seed.
    Raises: as `train`; UsageError too if a seed is given twice or there is a run and `resume` is off.
    """
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {' '.join(map(str, seeds))}: each must be another")
    if config.output_dir is None:
        raise UsageError("output_dir: no run directory is given (--output-dir RUN, or `output_dir:` in the config)")
    folders = {seed: Path(config.output_dir).expanduser() / f"seed-{seed}" for seed in seeds}
    for folder in folders.values():
        if RunDirectory(folder).steps and not resume:
            raise UsageError(
                f"{folder}: there is a run already; --resume continues it, another --output-dir starts anew"
            )
    scores = {}
    for seed, folder in folders.items():
        training = config.training.model_copy(update={"seed": seed})
        one = config.model_copy(update={"output_dir": str(folder), "training": training})
        scores[seed] = scores_of(train(one, resume=resume, quiet=quiet))
    values = {
        "seeds": {str(seed): one for seed, one in scores.items()},
        "mean_and_sd": {name: list(both) for name, both in mean_and_sd(scores).items()},
    }
    write_atomically(Path(config.output_dir).expanduser() / "seeds.json", json.dumps(values, indent=1))
    return scores


def scores_of(result: TrainResult) -> Scores:
    """The scores of the trained model; and, where checkpoints were scored on the way, that of the best one."""
    found: Scores = {}
    if "trained" in result.heldout:
        found |= {f"held-out {one.name}": one.mean for one in result.heldout["trained"].averages}
    if "trained" in result.sts:
        found |= {f"STS {one.name}": one.spearman for one in result.sts["trained"].scores}
    run = RunDirectory(result.run_dir)
    config = run.load_config()
    if config.training.evaluate_every:
        scored = {step: score for step, score in run.scores(config.best_metric).items() if step}
        found |= {f"best {config.best_metric}": max(scored.values())} if scored else {}
    return found


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


def seeds_table(scores: Mapping[int, Scores]) -> Table:
    """A score a row: mean, standard deviation, and each seed."""
    table = Table(title=f"{len(scores)} seed{'s' * (len(scores) != 1)}: accuracy in percent, Spearman x 100")
    for heading in ("score", "mean", "sd", *(f"seed {seed}" for seed in scores)):
        table.add_column(heading, justify="left" if heading == "score" else "right")
    for name, (mean, deviation) in mean_and_sd(scores).items():
        table.add_row(name, f"{mean:.2f}", f"{deviation:.2f}", *(f"{one[name]:.2f}" for one in scores.values()))
    return table
