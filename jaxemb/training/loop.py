"""The training loop. The host runs one step ahead: metrics are read when the next step is already under way."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxemb.config import TrainConfig
from jaxemb.errors import Stopped
from jaxemb.training.checkpoint import Checkpoints
from jaxemb.training.display import Display
from jaxemb.training.metrics import MetricsWriter
from jaxemb.training.signals import StopRequest
from jaxemb.training.step import TrainState, TrainStep, place


@dataclass
class Clock:
    """Examples per second between two log lines, evaluations and checkpoints left out."""

    began: float = field(default_factory=time.monotonic)
    examples: int = 0

    def rate(self) -> dict[str, float]:
        """Examples per second since the last call."""
        seconds = time.monotonic() - self.began
        rate = {"examples_per_second": self.examples / seconds} if self.examples else {}
        self.restart()
        return rate

    def restart(self) -> None:
        """Forgets what came before."""
        self.began, self.examples = time.monotonic(), 0


def _fetch(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}


def check_compilations(train_step: TrainStep, shapes: int) -> None:
    """One compilation a length bucket; more would mean that every step compiles again.

    Raises:
      RuntimeError: if the step was compiled more often than there are `shapes`.
    """
    compiled = train_step._cache_size()  # type: ignore[attr-defined]
    if compiled > shapes:
        raise RuntimeError(f"the training step was compiled {compiled} times for {shapes} length buckets")


def run_loop(
    config: TrainConfig,
    state: TrainState,
    train_step: TrainStep,
    batches: Iterable[tuple[int, Mapping[str, Any]]],
    mesh: Mesh,
    *,
    checkpoints: Checkpoints,
    writer: MetricsWriter,
    display: Display,
    stop: StopRequest,
    evaluate: Callable[[TrainState], None],
) -> TrainState:
    """Trains until `config.training.steps`.

    Args:
      config: the resolved config.
      state: where to start.
      train_step: as from `make_train_step`.
      batches: `(step, batch)` from the state's step on.
      mesh: the devices.
      checkpoints: where to save.
      writer: where metrics go.
      display: the terminal.
      stop: tells of Ctrl-C and SIGTERM.
      evaluate: scores and logs a state on the held-out split.

    Raises:
      Stopped: after a checkpoint, if Ctrl-C or SIGTERM came.
    """
    training, resolved = config.training, config.model_dump(mode="json")
    start = int(state.step)

    began, clock = time.monotonic(), Clock()
    pending: tuple[int, Mapping[str, Any]] | None = None

    def save(*, wait: bool = False) -> None:
        checkpoints.save(state, int(state.step) * training.batch_size, resolved, wait=wait)

    def report() -> None:
        """Shows the metrics of the last step that wants it, once they are there."""
        nonlocal pending
        if pending is not None:
            step, metrics = pending
            values = _fetch(metrics) | clock.rate()
            writer.write(step, "train", values)
            progress.show(step, values)
            pending = None

    with stop.deferred(), display.progress(start, training.steps) as progress:
        for index, batch in batches:
            placed = place(batch, mesh)
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, placed)
            check_compilations(train_step, len(config.data.length_buckets))
            report()  # of the step before: this one is already under way
            step = index + 1
            if index == start:
                jax.block_until_ready(metrics)
                progress.show(step, _fetch(metrics))
                display.headline(f"first step done after {time.monotonic() - began:.1f} s, compilation included")
                clock.restart()
            clock.examples += training.batch_size * (index > start)
            if step % training.log_every == 0 or step == training.steps:
                pending = (step, metrics)
            progress.advance(step)
            last = step == training.steps
            wants_evaluation = training.evaluate_every and step % training.evaluate_every == 0 and not last
            wants_checkpoint = step % training.checkpoint_every == 0 and not last
            if wants_evaluation or wants_checkpoint or stop.exit_code is not None:
                report()
                if wants_checkpoint:
                    save()
                if wants_evaluation and stop.exit_code is None:
                    evaluate(state)
                clock.restart()
            if stop.exit_code is not None:
                save(wait=True)
                raise Stopped(f"stopped after step {step}; a checkpoint is written", stop.exit_code)
        report()
        save(wait=True)
    return state


def count_parameters(params: Any) -> int:
    """Number of parameters."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
