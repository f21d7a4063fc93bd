"""Scores during a run, held-out retrieval and STS: the sets, the systems scored on them, and `results.json`."""

from pathlib import Path
from typing import Any

from jaxemb.config import TrainConfig
from jaxemb.data import PreparedData
from jaxemb.evaluation import (
    EncodeFns,
    RetrievalReport,
    StsReport,
    build_pools,
    encode_fns,
    heldout_report,
    score_pools,
    score_pools_tfidf,
    sts,
)
from jaxemb.models import Embedder, in_float32, towers_of
from jaxemb.training.display import Display
from jaxemb.training.metrics import MetricsWriter
from jaxemb.training.parameters import model_params
from jaxemb.training.rundir import Reports, RunDirectory
from jaxemb.training.step import TrainState

TFIDF = "character n-gram TF-IDF"


class Scores:
    """Scores states on the held-out split and on STS, through the same encode path as everything else."""

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
        self.reports = Reports({}, {})
        """Each system's reports, by its name."""

    def load(self) -> None:
        """Takes over what an interrupted run scored before training."""
        if saved := self._run.load_results():
            self.reports = saved.reports.only(self.before, TFIDF)

    def score_before(self, state: TrainState) -> None:
        """Scores the model before training, and the baseline if it is asked for."""
        self.score(state, self.before)
        if self._config.evaluation.baselines and self.pools:
            self._display.headline("scoring character-n-gram TF-IDF on the same pools")
            self.reports.heldout[TFIDF] = self._report(score_pools_tfidf(self.pools))
        self._run.save_results(None, None, self.reports)

    def score(self, state: TrainState, name: str | None = None) -> None:
        """Scores a state, shows and logs it; remembers the reports under `name`."""
        towers = towers_of(in_float32(self._config.model), model_params(state.params), self._tokenizer)
        towers = towers.map(Embedder.merged)
        embed, step = encode_fns(towers), int(state.step)
        if self.pools:
            self._score_heldout(embed, step, name)
        if self._config.evaluation.sts is not None:
            self._score_sts(embed, step, name)

    def _score_heldout(self, embed: EncodeFns, step: int, name: str | None) -> None:
        report = self._report(score_pools(embed, self.pools))
        self._writer.write(
            step, "evaluation", {f"{one.name.replace(' ', '_')}_accuracy": one.mean for one in report.averages}
        )
        shown = ", ".join(f"{average.name} {average.mean:.1f} %" for average in report.averages)
        self._display.headline(f"held-out retrieval after step {step}: {shown}")
        if name is not None:
            self.reports.heldout[name] = report

    def _score_sts(self, embed: EncodeFns, step: int, name: str | None) -> None:
        report = score_sts(embed, self._config)
        metrics = {"sts_spearman": report.spearman, "sts_pearson": report.pearson}
        shown = f"Spearman {report.spearman:.2f}, Pearson {report.pearson:.2f}"
        self._writer.write(step, "evaluation", metrics)
        self._display.headline(f"STS {report.split} after step {step}: {shown} (x 100)")
        if name is not None:
            self.reports.sts[name] = report

    def _report(self, scored: Any) -> RetrievalReport:
        return heldout_report(scored, left_out=self._left_out)


def score_sts(embed: EncodeFns, config: TrainConfig) -> StsReport:
    """The score of `evaluation.sts`, which must be set.

    Raises:
      UserError: if a file is missing or malformed.
    """
    wanted = config.evaluation.sts
    assert wanted is not None
    return sts(embed, sts_paths(config), split=wanted.split)


def sts_paths(config: TrainConfig) -> list[Path]:
    """The paths of `evaluation.sts`, from `data.root` on."""
    root = Path(config.data.root or "").expanduser()
    return (
        []
        if config.evaluation.sts is None
        else [root / Path(path).expanduser() for path in config.evaluation.sts.paths]
    )
