"""Telemetry of a training run: rates, waiting for input, memory, a trace."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
from jax.sharding import Mesh

from jaxemb.config import TrainConfig
from jaxemb.objectives.flops import model_flops
from jaxemb.parallel.chips import CHIPS, GIB
from jaxemb.runs.state import TrainState
from jaxemb.training.loop.stepping import FinishedStep, Hook
from jaxemb.training.step.train_step import TOKENS

T = TypeVar("T")
STEPS_BEFORE_PROFILE = 2
"""Steps before a trace: the first one compiles, and the second may still wait for work that was queued meanwhile."""


class Telemetry(Hook):
    """Rates between two log lines, without evaluations and checkpoints."""

    def __init__(self, config: TrainConfig, params: Any, mesh: Mesh) -> None:
        """Telemetry of a run, or a stage of one, with these parameters (or their shapes)."""
        self._config, self._devices = config, mesh.size
        self._shapes = jax.eval_shape(lambda x: x, params)
        self._chip = CHIPS.get(mesh.devices.flat[0].device_kind)
        self.restart()

    def restart(self) -> None:
        """Starts a new interval."""
        self._began, self._waited = time.monotonic(), 0.0
        self._steps, self._tokens, self._positions = 0, 0.0, 0

    def timed(self, batches: Iterable[T]) -> Iterator[T]:
        """Passes on the batches; the time until each one arrives counts as waiting."""
        iterator = iter(batches)
        while True:
            began = time.monotonic()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.monotonic() - began
            yield batch

    def finished(self, done: FinishedStep) -> None:
        self.count(done.values[TOKENS], done.batch.positions)

    def count(self, tokens: float, positions: int) -> None:
        """Counts a step with this many tokens, in this many token positions, padding included."""
        self._steps += 1
        self._tokens += tokens
        self._positions += positions

    def rates(self) -> dict[str, float]:
        """Since the last call: examples and tokens (without padding) per second, the shares of padding and of waiting
        for input, and, for a known chip, the model FLOPs utilization. Also the peak memory of any device so far.
        """
        seconds, steps = time.monotonic() - self._began, self._steps
        found: dict[str, float] = {}
        if steps:
            found["examples_per_second"] = steps * self._config.training.batch_size / seconds
            found["tokens_per_second"] = self._tokens / seconds
            found["padding"] = 1.0 - self._tokens / max(1, self._positions)
            found["waiting_for_input"] = min(1.0, self._waited / seconds)
            if self._chip is not None:
                done = steps * model_flops(self._config, self._shapes, self._tokens / steps)
                found["model_flops_utilization"] = done / seconds / self._devices / self._chip.flops
        if memory := jax.local_devices()[0].memory_stats():
            found["peak_memory_gib"] = memory["peak_bytes_in_use"] / GIB
        self.restart()
        return found


class Profile(Hook):
    """A trace of some steps for xprof and TensorBoard, shortly after the first step."""

    def __init__(self, folder: Path, start: int, steps: int, say: Callable[[str], None]) -> None:
        """Traces `steps` steps, none if that is 0; `start` steps were taken before."""
        self._folder, self._first, self._steps, self._say = folder, start + STEPS_BEFORE_PROFILE, steps, say
        self._running = False

    def is_due(self, step: int) -> bool:
        return self._steps > 0 and step in (self._first, self._first + self._steps)

    def act(self, state: TrainState) -> None:
        if int(state.step) == self._first:
            jax.profiler.start_trace(str(self._folder))
            self._running = True
        else:
            self.close()
            self._say(f"{self._steps} step{'s' * (self._steps > 1)} traced to {self._folder}")

    def close(self) -> None:
        """Ends the trace, if it is running."""
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
