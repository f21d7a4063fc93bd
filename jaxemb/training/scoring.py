"""Scores during a run, held-out retrieval and STS: the sets, the systems scored on them, and `results.json`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxemb import distributed
from jaxemb.config import TrainConfig
from jaxemb.config.training import split_language_pair
from jaxemb.data import PreparedData
from jaxemb.encoding import Embedder, towers_of
from jaxemb.evaluation import (
    EncodeFns,
    RetrievalReport,
    alignment_uniformity,
    build_pools,
    encode_fns,
    heldout_report,
    score_pools,
    score_pools_tfidf,
    sts,
    sts_tfidf,
    teacher_mse,
)
from jaxemb.models import in_float32
from jaxemb.models.paths import model_params
from jaxemb.readers.sts import StsPairs, read_sts
from jaxemb.readers.sts_files import find_sts
from jaxemb.readers.sts_languages import cross_lingual
from jaxemb.reporting.display import Display
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.results import Reports
from jaxemb.runs.state import TrainState
from jaxemb.runs.trackers import MetricsWriter, NoMetrics
from jaxemb.training.teacher import Teacher

TFIDF = "character n-gram TF-IDF"


class Scores:
    """Scores states on the held-out split and on STS, through the same encode path as everything else."""

    def __init__(
        self,
        config: TrainConfig,
        tokenizer: Any,
        data: PreparedData,
        run: RunDirectory,
        writer: MetricsWriter | NoMetrics,
        display: Display,
        teacher: Teacher | None = None,
    ) -> None:
        self._config, self._tokenizer, self._run, self._writer, self._display = config, tokenizer, run, writer, display
        self._teacher = teacher
        self.pools = build_pools(data.heldout, config.evaluation)
        self._left_out = sorted(data.heldout.keys() - {pool.name for pool in self.pools})
        self.before = "before training" if config.model.init_from else "untrained"
        self.reports = Reports()
        """Each system's reports, by its name."""

    def load(self) -> None:
        """Takes over what an interrupted run scored before training."""
        if saved := self._run.load_results():
            self.reports = saved.reports.only(self.before, TFIDF)

    def score_before(self, state: TrainState) -> None:
        """Scores the model before training, and the baseline if it is asked for."""
        self.score(state, self.before)
        with distributed.first_before_others("the baseline"):
            if distributed.is_first():
                if self._config.evaluation.baselines and self.pools:
                    self._display.headline("scoring character-n-gram TF-IDF on the same texts")
                    self.reports.heldout[TFIDF] = self._report(score_pools_tfidf(self.pools))
                    if (wanted := self._config.evaluation.sts) is not None:
                        pairs = language_pairs(self._config)
                        report = sts_tfidf(sts_paths(self._config), split=wanted.split, language_pairs=pairs)
                        self.reports.sts[TFIDF] = report
                self._run.save_results(None, None, self.reports)

    def score(self, state: TrainState, name: str | None = None) -> None:
        """Scores a state, shows and logs it; remembers the reports under `name`."""
        step = int(state.step)
        model = in_float32(self._config.at_step(step).model)
        towers = towers_of(model, model_params(state.params), self._tokenizer).map(Embedder.merged)
        embed = encode_fns(towers)
        if self.pools:
            self._score_heldout(embed, step, name)
        if self._config.evaluation.sts is not None:
            self._score_sts(embed, step, name)
        if self._teacher is not None and self.pools:
            whole = towers.map(lambda one: replace(one, config=one.config.model_copy(update={"truncate_dim": None})))
            self._score_teacher(encode_fns(whole), self._teacher, step, name)

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
        wanted, pairs = self._config.evaluation.sts, language_pairs(self._config)
        assert wanted is not None
        report = sts(embed, sts_paths(self._config), split=wanted.split, language_pairs=pairs)
        metrics = {"sts_spearman": report.spearman, "sts_pearson": report.pearson}
        shown = f"Spearman {report.spearman:.2f}, Pearson {report.pearson:.2f} (x 100)"
        if wanted.alignment:
            spread = alignment_uniformity(embed if callable(embed) else embed[0], sts_sets(self._config)[0])
            metrics |= {"alignment": spread.alignment, "uniformity": spread.uniformity}
            shown += f", alignment {spread.alignment:.3f}, uniformity {spread.uniformity:.3f}"
        self._writer.write(step, "evaluation", metrics)
        self._display.headline(f"STS {report.split} after step {step}: {shown}")
        if name is not None:
            self.reports.sts[name] = report

    def _score_teacher(self, embed: EncodeFns, teacher: Teacher, step: int, name: str | None) -> None:
        student = embed if callable(embed) else embed[1]
        errors = {one.name: one.mse for one in teacher_mse(student, teacher.encode, self.pools)}
        mean = sum(errors.values()) / len(errors)
        self._writer.write(step, "evaluation", {"teacher_mse": mean})
        self._display.headline(f"squared error against the teacher after step {step}: {100 * mean:.4f} (x 100)")
        if name is not None:
            self.reports.teacher_mse[name] = errors

    def _report(self, scored: Any) -> RetrievalReport:
        return heldout_report(scored, left_out=self._left_out)


def sts_paths(config: TrainConfig) -> list[Path]:
    """The paths of `evaluation.sts`, from `data.root` on."""
    root, wanted = Path(config.data.root or "").expanduser(), config.evaluation.sts
    return [] if wanted is None else [root / Path(path).expanduser() for path in wanted.paths]


def language_pairs(config: TrainConfig) -> list[tuple[str, str]] | None:
    """`evaluation.sts.language_pairs`; None without any."""
    pairs = () if config.evaluation.sts is None else config.evaluation.sts.language_pairs
    return [split_language_pair("evaluation.sts.language_pairs", pair) for pair in pairs] or None


def sts_sets(config: TrainConfig) -> list[StsPairs]:
    """The pairs of the files of `evaluation.sts`; none without it.

    Raises:
      UserError: if a file is missing or malformed.
    """
    wanted, pairs = config.evaluation.sts, language_pairs(config)
    if wanted is None:
        return []
    if pairs is not None:
        return list(cross_lingual(sts_paths(config), wanted.split, pairs).values())
    return [read_sts(path) for one in find_sts(sts_paths(config), wanted.split) for path in one.files]
