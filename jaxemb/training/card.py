"""What the model card tells of a run, read from the run's directory."""

import json
from pathlib import Path
from typing import Any

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.huggingface import CardInfo, DataSource
from jaxemb.training.rundir import RunDirectory


def card_of(path: Path, step: int | None = None) -> CardInfo:
    """The card of the run in `path` at `step` (the newest when None).

    It tells the data and their licences, the command with the whole config, and the held-out scores if they are those
    of that very step.
    """
    run = RunDirectory(path)
    config = run.load_config()
    step = max(run.steps, default=0) if step is None else step
    data = json.loads(run.data_report.read_text(encoding="utf-8"))
    results = run.load_results()
    scored = results is not None and results["step"] == step
    totals = data["totals"]
    return CardInfo(
        title=path.absolute().name,
        languages=tuple(sorted({"en", *data["languages"]})),
        base_model=config.model.init_from,
        licence=config.export.licence,
        data=tuple(
            DataSource(source["source"], source["licence"] or "", source["pairs"]) for source in data["sources"]
        ),
        data_note=f"After exact de-duplication: {totals['train']:,} pairs to train on, {totals['heldout']:,} held out.",
        command="jaxemb train --config config.yaml",
        command_note=f"{step:,} steps of {config.training.batch_size} pairs.",
        config=run.objective_note() + config_files.dump(_without_paths(config)),
        scores=tuple(_row(name, report) for name, report in results["systems"].items()) if results and scored else (),
        scores_note="Held-out translation retrieval: top-1 accuracy in percent, mean of both directions, "
        "macro-averaged over languages. No English side of it was in training."
        + (" Placeholders, numbers and brand names are masked." if config.evaluation.mask_placeholders else ""),
    )


def _without_paths(config: TrainConfig) -> TrainConfig:
    """The config without the folders of the machine it was trained on."""
    data = config.data.model_copy(update={"root": None, "cache_dir": None})
    return config.model_copy(update={"output_dir": None, "data": data})


def _row(name: str, report: dict[str, Any]) -> dict[str, Any]:
    averages = {f"{group} ({scores['present']})": scores["mean"] for group, scores in report["averages"].items()}
    return {"system": name, **averages}
