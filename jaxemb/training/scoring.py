"""Held-out retrieval during a run: the pools, the systems scored on them, and `results.json`."""

from typing import Any

from jaxemb.config import TrainConfig
from jaxemb.data import PreparedData
from jaxemb.evaluation import (
    RetrievalReport,
    build_pools,
    encode_fns,
    heldout_report,
    report_from_json,
    score_pools,
    score_pools_tfidf,
)
from jaxemb.models import Embedder, in_float32, towers_of
from jaxemb.training.display import Display
from jaxemb.training.metrics import MetricsWriter
from jaxemb.training.rundir import RunDirectory
from jaxemb.training.step import TrainState

TFIDF = "character n-gram TF-IDF"


class HeldoutScores:
    """Scores states on the held-out split, through the same encode path as everything else."""

    def __init__(
        self,
        config: TrainConfig,
        tokenizer: Any,
        data: PreparedData,
        run: RunDirectory,
        writer: MetricsWriter,
        display: Display,
    ) -> None:
        self._config, self._tokenizer, self._run, self._writer, self._display = config, tokenizer, run, writer, display
        self.pools = build_pools(data.heldout, config.evaluation)
        self._left_out = sorted(data.heldout.keys() - {pool.name for pool in self.pools})
        self.before = "before training" if config.model.init_from else "untrained"
        self.reports: dict[str, RetrievalReport] = {}
        """Each system's report, by its name."""

    def load(self) -> None:
        """Takes over what an interrupted run scored before training."""
        if values := self._run.load_results():
            systems = {name: report_from_json(report) for name, report in values["systems"].items()}
            self.reports = {name: systems[name] for name in (self.before, TFIDF) if name in systems}

    def score_before(self, state: TrainState) -> None:
        """Scores the model before training, and the baseline if it is asked for."""
        if not self.pools:
            return
        self.score(state, self.before)
        if self._config.evaluation.baselines:
            self._display.headline("scoring character-n-gram TF-IDF on the same pools")
            self.reports[TFIDF] = self._report(score_pools_tfidf(self.pools))
        self._run.save_results(None, None, self.reports)

    def score(self, state: TrainState, name: str | None = None) -> None:
        """Scores a state, shows and logs it; remembers the report under `name`."""
        if not self.pools:
            return
        step = int(state.step)
        towers = towers_of(in_float32(self._config.model), state.params, self._tokenizer).map(Embedder.merged)
        report = self._report(score_pools(encode_fns(towers), self.pools))
        self._writer.write(
            step, "evaluation", {f"{one.name.replace(' ', '_')}_accuracy": one.mean for one in report.averages}
        )
        shown = ", ".join(f"{average.name} {average.mean:.1f} %" for average in report.averages)
        self._display.headline(f"held-out retrieval after step {step}: {shown}")
        if name is not None:
            self.reports[name] = report

    def _report(self, scored: Any) -> RetrievalReport:
        return heldout_report(scored, left_out=self._left_out)
