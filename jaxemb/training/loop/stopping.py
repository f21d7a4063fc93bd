"""Ctrl-C and SIGTERM in the training loop."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxemb import distributed
from jaxemb.errors import Stopped
from jaxemb.runs.state import TrainState
from jaxemb.signals import StopRequest
from jaxemb.training.loop.stepping import FinishedStep, Hook
from jaxemb.training.step.train_step import STOP


class Stopping(Hook):
    """Ends the loop with a checkpoint after Ctrl-C or SIGTERM, after the same step in all processes.

    A signal may reach one of several processes. Each sends its exit code, or 0, as a column of its batches, and the
    step gives the largest back to all of them, so all learn of it with the metrics of the same step.
    """

    def __init__(self, stop: StopRequest, save: Callable[..., None], steps: int) -> None:
        """`save(state, wait=True)` writes a checkpoint; `steps` are those of the whole run."""
        self._stop, self._save, self._steps = stop, save, steps
        self._alone = jax.process_count() == 1
        self._agreed: int | None = None

    @property
    def code(self) -> int | None:
        """The exit code that this process, or all of several, stop with; None as long as they go on."""
        return self._stop.exit_code if self._alone else self._agreed

    def with_request(self, batches: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The same batches; those of several processes with the column of exit codes."""
        for index, batch in batches:
            if self._alone:
                yield index, batch
            else:
                code = np.full(jax.local_device_count(), self._stop.exit_code or 0, np.int32)
                yield index, {**batch, STOP: code}

    def finished(self, done: FinishedStep) -> None:
        if not self._alone and (code := round(done.values[STOP])):
            self._agreed = code

    def is_due(self, step: int) -> bool:
        del step
        return self.code is not None

    def act(self, state: TrainState) -> None:
        self._save(state, wait=True)
        self._raise(f"stopped after step {int(state.step)}")

    def ended(self, state: TrainState) -> None:
        # Of a signal that came after the last step had begun, too.
        self._agreed = distributed.largest(self._stop.exit_code or 0) or None
        if self.code is not None:
            unscored = " (the last one), before the evaluation" * (int(state.step) == self._steps)
            self._raise(f"stopped after step {int(state.step)}{unscored}")

    def _raise(self, what: str) -> None:
        assert self.code is not None
        raise Stopped(f"{what}; a checkpoint is written", self.code, together=True)
