"""What becomes of the reports of a run's suites."""

import json
from pathlib import Path

import numpy as np
import pytest

import jaxemb
from jaxemb.config import DataConfig, EvaluationConfig, TrainConfig, TrainingConfig, TsvSource
from jaxemb.evaluation.pools import Pool
from jaxemb.evaluation.report import LogEntry, Report, ReportTable
from jaxemb.evaluation.suites.heldout import Heldout
from jaxemb.evaluation.suites.teacher_mse import TeacherMse
from jaxemb.reporting.display import Display
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics
from jaxemb.runs.state import TrainState
from jaxemb.runs.trackers import Trackers
from jaxemb.training.scoring import TFIDF, Scores
from support.recipe_runs import config_of
from support.tiny_models import tiny_embedder

EMBEDDER = tiny_embedder(truncate_dim=8)
POOLS = [Pool("de", ("a tree", "a house"), ("ein baum", "ein haus"), "Latin")]


class Toy:
    """Reports the width of the embeddings, under the name of a suite that scores runs."""

    def __init__(self, log=True):
        self.log = log

    def evaluate(self, encode_fn):
        width = encode_fn(["a"]).shape[1]
        log = LogEntry("width", f"{width} dimensions", {"width": float(width)}) if self.log else None
        return Report(
            "sts", ReportTable("width", (), (), ()), {"width": width}, scores={"width": float(width)}, log=log
        )

    def baseline(self):
        return None


class Recorder:
    """What was logged and shown."""

    def __init__(self):
        self.written, self.shown = written, shown = [], []

        class Writer(Trackers):
            def write(self, step, prefix, values):
                written.append((step, prefix, dict(values)))

        class Shown(Display):
            def headline(self, text):
                shown.append(text)

        self.writer, self.display = Writer(Path()), Shown(quiet=True)


@pytest.fixture
def scores_of(tmp_path):
    def scores_of(suites, baselines=False, init_from=None, **data):
        config = TrainConfig(
            data=DataConfig(sources=(TsvSource(path="en-de.tsv"),), max_length=32, **data),
            training=TrainingConfig(steps=4),
            evaluation=EvaluationConfig(baselines=baselines),
        )
        config = config.model_copy(update={"model": EMBEDDER.config.model_copy(update={"init_from": init_from})})
        recorder = Recorder()
        scores = Scores(config, EMBEDDER.tokenizer, suites, RunDirectory(tmp_path), recorder.writer, recorder.display)
        return scores, recorder

    return scores_of


def state_after(step):
    return TrainState(np.int32(step), EMBEDDER.params, None)


def test_a_suite_is_logged_shown_and_remembered(scores_of, tmp_path):
    scores, recorder = scores_of({"sts": Toy()})
    scores.score(state_after(2))
    assert recorder.written == [(2, "evaluation", {"width": 8.0})]
    assert recorder.shown == ["width after step 2: 8 dimensions"]
    assert scores.reports.by_suite == {}  # only what has a name is remembered
    scores.score_before(state_after(0))
    assert scores.reports.scores("untrained") == {"width": 8}
    saved = json.loads((tmp_path / "results.json").read_text())
    assert (saved["step"], saved["sts"]) == (None, {"untrained": {"width": 8}})
    quiet, recorder = scores_of({"sts": Toy(log=False)})
    quiet.score(state_after(2))
    assert recorder.written == recorder.shown == []


def test_baselines_are_scored_once_beside_the_untrained_model(scores_of, tmp_path):
    suites = {"heldout": Heldout(POOLS, []), "sts": Toy()}
    scores, recorder = scores_of(suites, baselines=True, init_from="elsewhere")
    scores.score_before(state_after(0))
    assert scores.reports.systems == ["before training", TFIDF]
    assert list(scores.reports.of("sts")) == ["before training"]  # the toy has none
    assert recorder.shown[-1] == "scoring character-n-gram TF-IDF on the same texts"
    assert [sorted(values) for *_, values in recorder.written] == [["Latin_script_accuracy", "all_accuracy"], ["width"]]
    alone, recorder = scores_of({"sts": Toy()}, baselines=True)
    alone.score_before(state_after(0))
    assert len(recorder.shown) == 1


def test_a_resumed_run_takes_over_what_was_scored_before_training(scores_of, tmp_path):
    scores, _ = scores_of({"heldout": Heldout(POOLS, [])}, baselines=True)
    scores.score_before(state_after(0))
    scores.score(state_after(4), "trained")
    RunDirectory(tmp_path).save_results(4, None, scores.reports)
    again, _ = scores_of({"heldout": Heldout(POOLS, [])})
    again.load()
    assert again.reports.systems == ["untrained", TFIDF]
    assert again.reports.of("heldout")["untrained"] == scores.reports.of("heldout")["untrained"]


def test_the_teacher_is_compared_with_whole_embeddings(scores_of):
    whole = EMBEDDER.config.model_copy(update={"truncate_dim": None})
    width = tiny_embedder().encode(["a"]).shape[1]
    assert width == whole.pooled_size != 8
    scores, recorder = scores_of(
        {"sts": Toy(), "teacher_mse": TeacherMse(lambda texts: np.zeros((len(texts), width)), POOLS)}
    )
    scores.score(state_after(1), "trained")
    assert recorder.written[0][2] == {"width": 8.0}
    [(_, _, metrics)] = recorder.written[1:]
    assert metrics["teacher_mse"] == pytest.approx(1 / width, rel=1e-5)  # unit vectors against zeros
    assert recorder.shown[1] == f"squared error against the teacher after step 1: {100 / width:.4f} (x 100)"


@pytest.mark.parametrize("name", ["heldout", "sts"])
def test_a_run_is_scored_with_the_prompts_it_trains_with(scores_of, name):
    class Sides(Toy):
        def evaluate(self, encode_fn):
            self.sides = [np.asarray(side(["a tree"])) for side in encode_fn] if isinstance(encode_fn, tuple) else []
            self.both = [] if self.sides else [np.asarray(encode_fn(["a tree"]))]
            return super().evaluate(encode_fn[0] if self.sides else encode_fn)

    suite = Sides()
    scores_of({name: suite}, anchor_prompt="query: ", positive_prompt="passage: ")[0].score(state_after(2))
    wanted = [EMBEDDER.with_prompt(prompt).encode(["a tree"]) for prompt in ("query: ", "passage: ")]
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-3
    found = suite.sides if name == "heldout" else suite.both
    assert len(found) == (2 if name == "heldout" else 1)  # STS is symmetric
    for one, other in zip(found, wanted, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-6)
    scores_of({name: suite})[0].score(state_after(2))
    np.testing.assert_allclose(suite.both[0], EMBEDDER.encode(["a tree"]), atol=1e-6)


@pytest.mark.slow
def test_sts_is_scored_and_chooses_the_best(folder):
    result = jaxemb.train(config_of("sbert_regression", folder), quiet=True)
    assert result.sts.keys() == {"untrained", "trained"}
    assert not result.heldout
    scored = {
        line["step"]: line["evaluation/sts_spearman"]
        for line in read_metrics(result.run_dir / "metrics.jsonl")
        if "evaluation/sts_spearman" in line
    }
    assert scored.keys() == {0, 2, 4}
    assert scored[4] == pytest.approx(result.sts["trained"].spearman)
    best = max((2, 4), key=lambda step: (scored[step], step))
    texts = ["one two", "red"]
    np.testing.assert_array_equal(
        jaxemb.load(f"{result.run_dir}@best").encode(texts), jaxemb.load(f"{result.run_dir}@{best}").encode(texts)
    )
    again = jaxemb.train(config_of("sbert_regression", folder), resume=True, quiet=True)
    assert again.sts == result.sts
