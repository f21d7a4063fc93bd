"""What the model card tells of a run, read from the run's directory."""

import json
from pathlib import Path
from typing import Any

from jaxemb.huggingface import CardInfo, DataSource
from jaxemb.training.rundir import RunDirectory


def card_of(path: Path) -> CardInfo:
    """The card of the run in `path`: its data and their licences, its command and its held-out scores."""
    run = RunDirectory(path)
    config = run.load_config()
    data = json.loads(run.data_report.read_text(encoding="utf-8"))
    results = json.loads(run.results.read_text(encoding="utf-8")) if run.results.exists() else {}
    return CardInfo(
        title=path.absolute().name,
        languages=tuple(sorted({"en", *data["languages"]})),
        base_model=config.model.init_from,
        data=tuple(
            DataSource(source["source"], source["licence"] or "", source["pairs"]) for source in data["sources"]
        ),
        command="jaxemb train --config config.yaml  # "
        f"{config.training.steps} steps of {config.training.batch_size} pairs",
        scores=tuple(_row(name, report) for name, report in results.items()),
        scores_note="Held-out translation retrieval: top-1 accuracy in percent, mean of both directions, "
        "macro-averaged over languages. No English side of it was in training."
        + (" Placeholders, numbers and brand names are masked." if config.evaluation.mask_placeholders else ""),
    )


def _row(name: str, report: dict[str, Any]) -> dict[str, Any]:
    averages = {f"{group} ({scores['present']})": scores["mean"] for group, scores in report["averages"].items()}
    return {"system": name, **averages}
