import numpy as np
import pytest

from jaxemb.config import DataConfig, TrainConfig, TrainingConfig, TsvSource
from jaxemb.errors import NotFinite
from jaxemb.reporting.display import StepProgress
from jaxemb.runs import checkpoints, trackers
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.state import TrainState
from jaxemb.signals import StopRequest
from jaxemb.training.loop import telemetry
from jaxemb.training.loop.hooks import CheckCompilations, CheckFinite, Evaluate, FirstStep, Log, Save
from jaxemb.training.loop.stepping import DeviceBatch, FinishedStep
from jaxemb.training.loop.stopping import Stopping


def config_of(**training):
    return TrainConfig(
        data=DataConfig(sources=(TsvSource(path="x.tsv"),)),
        training=TrainingConfig(**{"steps": 10, "batch_size": 4, **training}),
    )


class Checkpoints(checkpoints.Checkpoints):
    """Notes what is saved."""

    steps = (2,)

    def __init__(self, folder):
        self.directory, self.saved = folder / "checkpoints", []

    def save(self, state, next_example, config, *, wait):
        self.saved.append((int(state.step), next_example, wait))

    def wait(self):
        pass


class Telemetry(telemetry.Telemetry):
    """Counts how often the rates start anew."""

    def __init__(self):
        self.restarts = 0

    def restart(self):
        self.restarts += 1

    def rates(self):
        return {"examples_per_second": 7.0}


class Written(trackers.Trackers):
    """Notes what is logged."""

    def __init__(self):
        self.lines = []

    def write(self, step, prefix, values):
        self.lines.append((step, prefix, values))


class Shown(StepProgress):
    """Notes which steps are shown."""

    def __init__(self):
        self.steps = []

    def show(self, step, metrics):
        self.steps.append(step)


def done(step, loss=1.0):
    metrics = {"loss": loss, "gradient_norm": 1.0, "margin": 0.5, "tokens": 3}
    return FinishedStep(DeviceBatch(step, {}, np.arange(4), 8), metrics)


def state(step):
    return TrainState(np.int32(step), None, None)


def test_a_step_that_is_compiled_again_and_again_ends_the_run():
    counts = iter([1, 2, 3])
    check = CheckCompilations(lambda: next(counts), shapes=2)
    check.launched(1)
    check.launched(2)
    with pytest.raises(RuntimeError, match="compiled 3 times for 2 shapes"):
        check.launched(3)
    with pytest.raises(RuntimeError, match=r"the training step of objectives\.nli was compiled 3 times for 2 shapes"):
        CheckCompilations(lambda: 3, 2, "nli").launched(1)


def test_skipped_steps_are_counted_in_a_row(tmp_path):
    shown = []
    finite = CheckFinite(2, Checkpoints(tmp_path), shown.append)
    for step, loss in enumerate([1.0, np.nan, np.inf, 1.0, np.nan, np.nan], start=1):
        finite.finished(done(step, loss))
        assert finite.last_was_skipped == (not np.isfinite(loss))
    assert finite.skipped == len(shown) == 4
    with pytest.raises(NotFinite, match=r"^step 7: the loss is nan, .* The last good checkpoint is that of step 2"):
        finite.finished(done(7, np.nan))
    assert '"batch_ids": [\n  0,' in RunDirectory(tmp_path).not_finite.read_text()


def test_the_loop_waits_for_the_first_step():
    rates, shown = Telemetry(), []
    first = FirstStep(4, rates, shown.append)
    assert [first.is_due(step) for step in (4, 5, 6)] == [False, True, False]
    first.finished(done(5))
    first.finished(done(6))
    assert len(shown) == rates.restarts == 1


@pytest.mark.parametrize("skip", [0, 1])
def test_what_is_logged_and_shown(tmp_path, skip):
    written, shown = Written(), Shown()
    finite = CheckFinite(skip, Checkpoints(tmp_path), lambda text: None)
    log = Log(config_of(log_every=3, skip_not_finite=skip), range(1, 8), Telemetry(), written, shown, finite)
    for step in range(1, 8):
        one = done(step, np.nan if skip and step == 6 else 1.0)
        finite.finished(one)
        log.finished(one)
    counted = [{"skipped": 0.0}, {"skipped": 1.0}, {"skipped": 1.0}] if skip else [{}, {}, {}]
    values = {"loss": 1.0, "gradient_norm": 1.0, "margin": 0.5}
    rates = {"examples_per_second": 7.0}
    assert written.lines == [
        (3, "train", values | rates | counted[0]),
        (6, "train", ({} if skip else values) | rates | counted[1]),
        (7, "train", values | rates | counted[2]),
    ]
    assert shown.steps == ([1, 3, 7] if skip else [1, 3, 6, 7])


def test_checkpoints_come_regularly_before_evaluations_and_at_the_end(tmp_path):
    kept = Checkpoints(tmp_path)
    save = Save(config_of(checkpoint_every=5, evaluate_every=3), kept, Telemetry())
    assert [step for step in range(1, 11) if save.is_due(step)] == [3, 5, 6, 9]  # the last one is saved at the end
    save.act(state(3))
    save.ended(state(10))
    assert kept.saved == [(3, 12, False), (10, 40, True)]


def test_a_run_that_is_about_to_stop_is_not_evaluated():
    stop, scored = StopRequest(), []
    stopping = Stopping(stop, lambda state, wait: None, steps=10)
    evaluate = Evaluate(config_of(evaluate_every=5), scored.append, Telemetry(), stopping)
    assert [step for step in range(1, 11) if evaluate.is_due(step)] == [5]  # the last state is scored after the loop
    stop.exit_code = 75
    assert not evaluate.is_due(5)
    assert not Evaluate(config_of(), scored.append, Telemetry(), stopping).is_due(5)
