"""What happens beside the steps of a run: checks, logs, checkpoints, evaluation."""

import json
import math
import time
from collections.abc import Callable
from typing import Any

from jaxemb import distributed
from jaxemb.config import MAIN, TrainConfig, TrainingConfig
from jaxemb.errors import NotFinite
from jaxemb.files import write_atomically
from jaxemb.reporting.display import StepProgress
from jaxemb.runs.checkpoints import Checkpoints
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.state import TrainState
from jaxemb.runs.trackers import Trackers
from jaxemb.training.loop.compilations import check_compilations
from jaxemb.training.loop.losses import LossByObjective
from jaxemb.training.loop.stepping import FinishedStep, Hook
from jaxemb.training.loop.stopping import Stopping
from jaxemb.training.loop.telemetry import Telemetry

Say = Callable[[str], None]


class CheckCompilations(Hook):
    """Ends a run whose step is compiled again and again: there is one hook for each objective."""

    def __init__(self, compiled: Callable[[], int], shapes: int, objective: str = MAIN) -> None:
        """`compiled` says how often so far."""
        self._compiled, self._shapes, self._objective = compiled, shapes, objective

    def launched(self, step: int) -> None:
        del step
        check_compilations(self._compiled(), self._shapes, self._objective)


class CheckFinite(Hook):
    """Counts steps whose loss or gradient is not finite, and ends the run after too many in a row."""

    def __init__(self, allowed: int, checkpoints: Checkpoints, say: Say) -> None:
        """`allowed` steps in a row may be skipped; the step itself has left the parameters as they were."""
        self._allowed, self._checkpoints, self._say = allowed, checkpoints, say
        self._run = RunDirectory(checkpoints.directory.parent)
        if distributed.is_first():
            self._run.not_finite.unlink(missing_ok=True)  # of an earlier try
        self._in_a_row = 0
        self.skipped = 0
        """Steps skipped so far."""

    def finished(self, done: FinishedStep) -> None:
        if math.isfinite(done.values["loss"]) and math.isfinite(done.values["gradient_norm"]):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row > self._allowed:
            raise NotFinite(self._write_report(done))
        self.skipped += 1
        self._say(f"step {done.step} is skipped: its loss or gradient is not finite ({self._in_a_row} in a row)")

    @property
    def last_was_skipped(self) -> bool:
        """Whether the newest finished step was skipped."""
        return self._in_a_row > 0

    def _write_report(self, done: FinishedStep) -> str:
        """Writes the metrics and the batch's ids; returns the message."""
        self._checkpoints.wait()
        good = max(self._checkpoints.steps, default=None)
        values = done.all_values()
        ids = distributed.all_rows(done.batch.ids)
        report: dict[str, Any] = {"step": done.step, "last_good_checkpoint": good, "metrics": values, "batch_ids": ids}
        if done.batch.objective != MAIN:
            report["objective"] = done.batch.objective
        if distributed.is_first():
            write_atomically(self._run.not_finite, json.dumps(report, indent=1))
        return (
            f"step {done.step}: the loss is {values['loss']}, and the gradient's norm is {values['gradient_norm']}. "
            f"{self._run.not_finite} lists the ids of the batch. "
            + (f"The last good checkpoint is that of step {good}" if good is not None else "There is no checkpoint yet")
            + ". A new run with a lower optimizer.learning_rate or more optimizer.warmup_steps may help"
        )


class FirstStep(Hook):
    """Waits for the first step, and says how long it took."""

    def __init__(self, start: int, telemetry: Telemetry, say: Say) -> None:
        """`start` steps were taken before."""
        self._first, self._telemetry, self._say = start + 1, telemetry, say
        self._began = time.monotonic()

    def is_due(self, step: int) -> bool:
        return step == self._first  # so that the loop waits for it

    def finished(self, done: FinishedStep) -> None:
        if done.step == self._first:
            self._say(f"first step done after {time.monotonic() - self._began:.1f} s, compilation included")
            self._telemetry.restart()


class Log(Hook):
    """Writes metrics every `training.log_every` steps and shows the progress."""

    def __init__(
        self,
        config: TrainConfig,
        steps: range,
        telemetry: Telemetry,
        tracker: Trackers,
        progress: StepProgress,
        finite: CheckFinite,
    ) -> None:
        """`steps` are those of this stage, counted from 1."""
        self._every, self._steps = config.training.log_every, steps
        self._counts_skipped = config.training.skip_not_finite > 0
        self._telemetry, self._tracker, self._progress, self._finite = telemetry, tracker, progress, finite
        self._losses = LossByObjective() if config.objectives else None

    def launched(self, step: int) -> None:
        self._progress.advance(step)

    def finished(self, done: FinishedStep) -> None:
        if self._losses is not None:
            self._losses.add(done.batch.objective, done.values["loss"])
        is_logged = done.step % self._every == 0 or done.step == self._steps[-1]
        if not is_logged and done.step != self._steps[0]:
            return
        values = done.all_values() if is_logged else dict(done.values)
        skipped = self._finite.last_was_skipped
        if is_logged:
            values = ({} if skipped else values) | self._telemetry.rates()
            values |= {"skipped": float(self._finite.skipped)} if self._counts_skipped else {}
            values |= {} if self._losses is None else self._losses.means()
            self._tracker.write(done.step, "train", values)
        if not skipped:
            self._progress.show(done.step, values)


class Save(Hook):
    """Writes a checkpoint every `training.checkpoint_every` steps, before each evaluation, and at the end."""

    def __init__(self, config: TrainConfig, checkpoints: Checkpoints, telemetry: Telemetry) -> None:
        self._training, self._checkpoints, self._telemetry = config.training, checkpoints, telemetry
        self._values = config.model_dump(mode="json")

    def is_due(self, step: int) -> bool:
        regular = step % self._training.checkpoint_every == 0
        return step < self._training.steps and (regular or is_evaluated(self._training, step))

    def act(self, state: TrainState) -> None:
        self.save(state)
        self._telemetry.restart()

    def ended(self, state: TrainState) -> None:
        self.save(state, wait=True)

    def save(self, state: TrainState, *, wait: bool = False) -> None:
        """Begins to write a checkpoint; `wait` blocks until it is written."""
        next_example = int(state.step) * self._training.batch_size
        self._checkpoints.save(state, next_example, self._values, wait=wait)


class Evaluate(Hook):
    """Scores the state every `training.evaluate_every` steps, but not in a run that is about to stop."""

    def __init__(
        self, config: TrainConfig, evaluate: Callable[[TrainState], None], telemetry: Telemetry, stopping: Stopping
    ) -> None:
        self._training, self._evaluate, self._telemetry, self._stopping = config.training, evaluate, telemetry, stopping

    def is_due(self, step: int) -> bool:
        return is_evaluated(self._training, step) and self._stopping.code is None

    def act(self, state: TrainState) -> None:
        self._evaluate(state)
        self._telemetry.restart()


def is_evaluated(training: TrainingConfig, step: int) -> bool:
    """Whether the state after this step is scored while the run goes on; the last one is scored when it has ended."""
    return bool(training.evaluate_every) and step < training.steps and step % (training.evaluate_every or 1) == 0
