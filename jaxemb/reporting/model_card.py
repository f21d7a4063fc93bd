"""What the model card tells of a run, read from the run's directory."""

import json
from collections.abc import Iterator
from pathlib import Path

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.evaluation.suites import in_runs
from jaxemb.huggingface import CardInfo, DataSource
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.results import Reports


def card_of(path: Path, step: int | None = None) -> CardInfo:
    """The card of the run in `path` at `step` (the newest when None).

    It tells the data and their licences, the command with the whole config, and the scores if they are those of that
    very step.
    """
    run = RunDirectory(path)
    config = run.load_config()
    step = max(run.steps, default=0) if step is None else step
    data = json.loads(run.data_report.read_text(encoding="utf-8"))
    results = run.load_results()
    reports = results.reports if results is not None and results.step == step else Reports()
    totals = data["totals"]
    return CardInfo(
        title=path.absolute().name,
        languages=tuple(sorted({"en", *data["languages"]})),
        base_model=config.model.init_from,
        licence=config.export.licence,
        data=tuple(
            DataSource(source["source"], source["licence"] or "", source["pairs"]) for source in data["sources"]
        ),
        data_note=f"After exact de-duplication: {totals['train']:,} examples to train on"
        + (f", {totals['heldout']:,} held out." if totals["heldout"] else "."),
        command="jaxemb train --config config.yaml",
        command_note=f"{step:,} steps of {config.training.batch_size} examples.",
        config=run.objective_note() + config_files.dump(_without_paths(config)),
        scores=tuple(_row(name, reports) for name in reports.systems),
        scores_note="\n\n".join(_notes(config, reports)),
    )


def _without_paths(config: TrainConfig) -> TrainConfig:
    """The config without the folders of the machine it was trained on."""
    data = config.data.model_copy(update={"root": None, "cache_dir": None})
    return config.model_copy(update={"output_dir": None, "data": data})


def _row(system: str, reports: Reports) -> dict[str, str | float]:
    cells = {heading: score for report in reports.of_system(system) for heading, score in report.card.items()}
    return {"system": system, **cells}


def _notes(config: TrainConfig, reports: Reports) -> Iterator[str]:
    for name, suite in in_runs().items():
        for report in list(reports.of(name).values())[:1]:
            if note := suite.card_note(report, config.evaluation):
                yield note
