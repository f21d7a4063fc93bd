"""Trains one config with several seeds: the deviation shows which differences between configs are significant."""

import json
from collections.abc import Sequence
from pathlib import Path

from jaxemb import distributed
from jaxemb.config import TrainConfig
from jaxemb.errors import UsageError
from jaxemb.files import write_atomically
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.seeds import Scores, mean_and_sd
from jaxemb.runs.storage.urls import is_remote
from jaxemb.training.run import train


def train_seeds(
    config: TrainConfig, seeds: Sequence[int], *, resume: bool = False, quiet: bool = False
) -> dict[int, Scores]:
    """Trains one run per seed, in `output_dir`/seed-N, one after the other, and writes `output_dir`/seeds.json.

    Args:
      config: of all runs; the seeds replace `training.seed`.
      seeds: distinct seeds.
      resume: continue the runs that exist, start the others.
      quiet: print nothing.

    Returns: the scores of each seed: of the trained model, and of the best checkpoint if checkpoints were scored.
    Raises: as `train`; also UsageError if seeds are not distinct, or a run exists and `resume` is off.
    """
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {' '.join(map(str, seeds))}: seeds must be distinct")
    if config.output_dir is None:
        raise UsageError("output_dir: no run directory is given (--output-dir RUN, or `output_dir:` in the config)")
    if is_remote(config.output_dir):
        raise UsageError(f"--seeds: {config.output_dir}: several runs need an output_dir on this machine")
    folders = {seed: Path(config.output_dir).expanduser() / f"seed-{seed}" for seed in seeds}
    for folder in folders.values():
        if RunDirectory(folder).steps and not resume:
            raise UsageError(
                f"{folder}: there is a run already; --resume continues it, another --output-dir starts a new one"
            )
    scores = {}
    for seed, folder in folders.items():
        training = config.training.model_copy(update={"seed": seed})
        one = config.model_copy(update={"output_dir": str(folder), "training": training})
        result = train(one, resume=resume, quiet=quiet)
        scores[seed] = result.reports.scores("trained") | RunDirectory(result.run_dir).best_score()
    values = {
        "seeds": {str(seed): one for seed, one in scores.items()},
        "mean_and_sd": {name: list(both) for name, both in mean_and_sd(scores).items()},
    }
    if distributed.is_first():
        write_atomically(Path(config.output_dir).expanduser() / "seeds.json", json.dumps(values, indent=1))
    return scores
