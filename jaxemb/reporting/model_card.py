"""What the model card tells of a run, read from the run's directory."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxemb.config import DataConfig, GettextSource, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.evaluation.suites import in_runs
from jaxemb.huggingface import CardInfo, DataSource
from jaxemb.language_tags import is_english
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
        languages=languages_of(config.data, data["languages"]),
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


def languages_of(config: DataConfig, reported: Iterable[str]) -> tuple[str, ...]:
    """The languages of the texts, sorted: BCP 47 tags.

    The report counts a pair for the language of its side that is not English, and for both (`de-fr`) if none is. So
    English is added where a source has it, and the pairs of two languages are taken apart.

    Args:
      config: the sources.
      reported: the languages in the data report.
    """
    found = set(reported)
    english, apart = False, dict[str, set[str]]()
    for source in config.sources:
        first, second = (getattr(source, key, None) for key in ("anchor_lang", "positive_lang"))
        if getattr(source, "positive_key", "") is None:  # single sentences
            second = first
        if isinstance(source, GettextSource):
            english = True
        elif first is None or is_english(first):
            english |= first is not None
        elif second is None:  # given by the files' names: English if the pairs count for the first
            english |= first in found
            apart |= {name: {first, name.removeprefix(f"{first}-")} for name in found if name.startswith(f"{first}-")}
        elif is_english(second):
            english = True
        elif f"{first}-{second}" in found:
            apart[f"{first}-{second}"] = {first, second}
    return tuple(sorted(found.difference(apart).union({"en"} if english else (), *apart.values())))


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
