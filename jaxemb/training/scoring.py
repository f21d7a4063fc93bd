"""Scores during a run: the suites score the model and the baseline, and the results are logged and written."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxemb import distributed
from jaxemb.config import DataConfig, TrainConfig
from jaxemb.encoding import Embedder, Towers, towers_of
from jaxemb.evaluation import Suite, encode_fns
from jaxemb.evaluation.suites import in_runs
from jaxemb.models import in_float32
from jaxemb.models.paths import model_params
from jaxemb.reporting.display import Display
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.results import Reports
from jaxemb.runs.state import TrainState
from jaxemb.runs.trackers import Trackers
from jaxemb.training.suites import wants_baselines

TFIDF = "character n-gram TF-IDF"


class Scores:
    """Scores states on the suites, through the same encode path as everything else."""

    def __init__(
        self,
        config: TrainConfig,
        tokenizer: Any,
        suites: Mapping[str, Suite],
        run: RunDirectory,
        writer: Trackers,
        display: Display,
    ) -> None:
        self._config, self._tokenizer, self._run, self._writer, self._display = config, tokenizer, run, writer, display
        self._suites = dict(suites)
        self.before = "before training" if config.model.init_from else "untrained"
        self.reports = Reports()
        """Each system's reports."""

    def load(self) -> None:
        """Takes over what an interrupted run scored before training."""
        if saved := self._run.load_results():
            self.reports = saved.reports.only(self.before, TFIDF)

    def score_before(self, state: TrainState) -> None:
        """Scores the model before training, and the baseline if it is asked for."""
        self.score(state, self.before)
        with distributed.first_before_others("the baseline"):
            if distributed.is_first():
                if wants_baselines(self._config, self._suites):
                    self._display.headline("scoring character-n-gram TF-IDF on the same texts")
                    for suite in self._suites.values():
                        if (report := suite.baseline()) is not None:
                            self.reports.add(TFIDF, report)
                self._run.save_results(None, None, self.reports)

    def score(self, state: TrainState, name: str | None = None) -> None:
        """Scores a state, shows and logs it; remembers the reports under `name`."""
        step = int(state.step)
        model = in_float32(self._config.at_step(step).model)
        towers = towers_of(model, model_params(state.params), self._tokenizer).map(Embedder.merged)
        whole = towers.map(lambda one: replace(one, config=one.config.model_copy(update={"truncate_dim": None})))
        entries = in_runs()
        for suite_name, suite in self._suites.items():
            chosen = whole if entries[suite_name].whole_embeddings else towers
            report = suite.evaluate(encode_fns(_with_prompts(chosen, self._config.data, suite_name)))
            if report.log is not None:
                self._writer.write(step, "evaluation", report.log.metrics)
                self._display.headline(f"{report.log.what} after step {step}: {report.log.shown}")
            if name is not None:
                self.reports.add(name, report)


def _with_prompts(towers: Towers, data: DataConfig, suite: str) -> Towers:
    """The towers with the prompts they are trained with; both with the anchors' in STS, which is symmetric."""
    second = data.anchor_prompt if suite == "sts" else data.positive_prompt
    if data.anchor_prompt == second and towers.tied:
        return towers.map(lambda tower: tower.with_prompt(second))
    return Towers(towers.anchor.with_prompt(data.anchor_prompt), towers.positive.with_prompt(second))
