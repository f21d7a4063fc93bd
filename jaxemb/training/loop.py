"""The training loop. The host runs one step ahead: metrics are read when the next step is already under way."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxemb import distributed
from jaxemb.config import TrainConfig
from jaxemb.errors import NotFinite, Stopped
from jaxemb.files import write_atomically
from jaxemb.reporting.display import Display
from jaxemb.runs.checkpoints import Checkpoints
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.state import TrainState
from jaxemb.runs.trackers import MetricsWriter, NoMetrics
from jaxemb.signals import StopRequest
from jaxemb.training.compilations import check_compilations, compilations_of
from jaxemb.training.measures import places
from jaxemb.training.step import STOP, TOKENS, TrainStep, place
from jaxemb.training.telemetry import Profile, Telemetry


def _fetch(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}


def run_loop(
    config: TrainConfig,
    state: TrainState,
    train_step: TrainStep,
    batches: Iterable[tuple[int, Mapping[str, Any]]],
    mesh: Mesh,
    *,
    until: int,
    shapes: int,
    checkpoints: Checkpoints,
    writer: MetricsWriter | NoMetrics,
    display: Display,
    stop: StopRequest,
    evaluate: Callable[[TrainState], None],
    profile: int = 0,
) -> TrainState:
    """Trains, to the end or that of a stage.

    Args:
      config: the resolved config.
      state: where to start.
      train_step: as from `make_train_step`.
      batches: `(step, batch)` from the state's step on.
      mesh: the devices.
      until: the last step.
      shapes: how many shapes the batches have at most.
      checkpoints: where to save.
      writer: where metrics go.
      display: the terminal.
      stop: tells of Ctrl-C and SIGTERM.
      evaluate: scores and logs a state on the held-out split.
      profile: how many steps to trace.

    Raises:
      NotFinite: if a loss or gradient is not, in more steps than may be skipped; nothing of that step is saved.
      Stopped: after a checkpoint, if Ctrl-C or SIGTERM came.
    """
    training, resolved = config.training, config.model_dump(mode="json")
    start, alone = int(state.step), jax.process_count() == 1
    run = RunDirectory(checkpoints.directory.parent)
    if distributed.is_first():
        run.not_finite.unlink(missing_ok=True)  # of an earlier try
    began, telemetry = time.monotonic(), Telemetry(config.at_step(start), state.params, mesh)
    trace = Profile(run.profile, start, profile if distributed.is_first() else 0)
    in_flight: tuple[int, Mapping[str, Any], Any, int] | None = None  # of the newest batch: step, metrics, ids, places
    agreed: int | None = None  # exit code that a signal to any of several processes asks for: all learn it by one step
    in_a_row = skipped = 0  # steps that are not finite

    def finish_step() -> None:
        """Waits for the step that is under way, checks it, and logs it if it is one to log."""
        nonlocal in_flight, agreed, in_a_row, skipped
        if in_flight is None:
            return
        (step, metrics, ids, room), in_flight = in_flight, None
        wants_log = step % training.log_every == 0 or step == until
        needed = ("loss", "gradient_norm", TOKENS, STOP)
        values = _fetch(metrics if wants_log else {name: metrics[name] for name in needed if name in metrics})
        if code := round(values.pop(STOP, 0.0)):
            agreed = code
        tokens = values.pop(TOKENS)
        finite = math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])
        in_a_row = 0 if finite else in_a_row + 1
        if in_a_row > training.skip_not_finite:
            told = _fetch({name: value for name, value in metrics.items() if name != STOP})
            raise NotFinite(_write_not_finite(checkpoints, step, told, ids))
        if not finite:
            skipped += 1
            display.headline(f"step {step} is skipped: its loss or its gradient is not finite ({in_a_row} in a row)")
            values = {}
        telemetry.count(tokens, room)
        if step == start + 1:
            display.headline(f"first step done after {time.monotonic() - began:.1f} s, compilation included")
            telemetry.restart()
        if wants_log:
            values |= telemetry.rates() | ({"skipped": float(skipped)} if training.skip_not_finite else {})
            writer.write(step, "train", values)
        if finite and (wants_log or step == start + 1):
            progress.show(step, values)

    def stopping() -> int | None:
        return stop.exit_code if alone else agreed

    def save(*, wait: bool = False) -> None:
        finish_step()  # nothing is saved unchecked
        checkpoints.save(state, int(state.step) * training.batch_size, resolved, wait=wait)

    with (
        stop.deferred(),
        display.progress(start, training.steps) as progress,
        compilations_of(train_step) as compiled,
        contextlib.closing(trace),
    ):
        for index, batch in telemetry.timed(batches):
            if not alone:
                request = 0 if stop.exit_code is None else stop.exit_code
                batch = {**batch, STOP: np.full(jax.local_device_count(), request, np.int32)}
            placed = place(batch, mesh)
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, placed)
            check_compilations(compiled(), shapes)
            finish_step()  # the step before: this one is already under way
            step = index + 1
            in_flight = (step, metrics, batch["id"], places(placed))
            if index == start:
                finish_step()
            if trace.after(step, finish_step):
                display.headline(f"{profile} step{'s' * (profile > 1)} traced to {run.profile}")
            progress.advance(step)
            wants_evaluation = bool(training.evaluate_every) and step % (training.evaluate_every or 1) == 0
            if step < training.steps and (wants_evaluation or step % training.checkpoint_every == 0):
                save()
                if wants_evaluation and stopping() is None:
                    evaluate(state)
                telemetry.restart()
            if (code := stopping()) is not None:
                save(wait=True)
                raise Stopped(f"stopped after step {step}; a checkpoint is written", code, together=True)
        save(wait=True)
        agreed = distributed.largest(stop.exit_code or 0) or None  # of a signal after the last step began, too
        if (code := stopping()) is not None:
            unscored = " (the last), before it was evaluated" * (until == training.steps)
            raise Stopped(f"stopped after step {until}{unscored}; a checkpoint is written", code, together=True)
    return state


def _write_not_finite(checkpoints: Checkpoints, step: int, values: Mapping[str, float], ids: Any) -> str:
    """Writes the metrics and the batch's ids of a step whose loss or gradient is not finite; returns the message."""
    path = RunDirectory(checkpoints.directory.parent).not_finite
    checkpoints.wait()
    good = max(checkpoints.steps, default=None)
    report = {"step": step, "last_good_checkpoint": good, "metrics": values, "batch_ids": distributed.all_rows(ids)}
    if distributed.is_first():
        write_atomically(path, json.dumps(report, indent=1))
    return (
        f"step {step}: the loss is {values['loss']} and the norm of the gradient {values['gradient_norm']}. "
        f"{path} tells the batch's ids. "
        + (f"The last good checkpoint is that of step {good}" if good is not None else "There is no checkpoint yet")
        + ". A new run with a lower optimizer.learning_rate, or more optimizer.warmup_steps, may go well"
    )


def count_parameters(params: Any) -> int:
    """Number of parameters."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
