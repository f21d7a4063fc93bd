"""The training loop. The host runs one step ahead: a step's metrics are read when the next one is under way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxemb.config import MAIN
from jaxemb.runs.state import TrainState
from jaxemb.training.step.measures import token_positions
from jaxemb.training.step.train_step import STOP, TOKENS, TrainStep, put_batch

_EVERY_STEP = ("loss", "gradient_norm", TOKENS, STOP)


@dataclass(frozen=True)
class DeviceBatch:
    """A batch on the devices."""

    step: int
    """Steps taken when it has been trained on, from 1."""
    arrays: Mapping[str, Any]
    ids: np.ndarray
    """This process's examples."""
    positions: int
    """Tokens that the global batch has room for."""
    objective: str = MAIN
    """Name of the objective that trains on it."""


@dataclass(frozen=True)
class FinishedStep:
    """A step whose metrics may be read; reading them waits for the step."""

    batch: DeviceBatch
    metrics: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Its number, from 1."""
        return self.batch.step

    @cached_property
    def values(self) -> dict[str, float]:
        """The metrics that are looked at after every step, in one transfer."""
        return _read({name: self.metrics[name] for name in _EVERY_STEP if name in self.metrics})

    def all_values(self) -> dict[str, float]:
        """All metrics that are logged."""
        return _read({name: value for name, value in self.metrics.items() if name not in (STOP, TOKENS)})


def _read(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in jax.device_get(dict(metrics)).items()}


class Hook:
    """What happens beside the steps. A hook overrides what it needs."""

    def launched(self, step: int) -> None:
        """The devices have been given step number `step`; the one before it has finished."""

    def finished(self, done: FinishedStep) -> None:
        """A step has finished; the next one may be under way."""

    def is_due(self, step: int) -> bool:
        """Whether `act` is called after this step, which the loop waits for then."""
        del step
        return False

    def act(self, state: TrainState) -> None:
        """Called between two steps with the state, all of whose steps have finished."""

    def ended(self, state: TrainState) -> None:
        """The last step has finished."""


def to_devices(
    batches: Iterable[tuple[int, Mapping[str, Any]]], mesh: Mesh, objective_of: Callable[[int], str] = lambda _: MAIN
) -> Iterator[DeviceBatch]:
    """Puts each batch on the devices when its turn comes; the batches are numbered from 0, for `objective_of` too."""
    for index, batch in batches:
        arrays = put_batch(batch, mesh)
        yield DeviceBatch(index + 1, arrays, batch["id"], token_positions(arrays), objective_of(index))


def run_loop(
    state: TrainState, steps: Mapping[str, TrainStep], batches: Iterable[DeviceBatch], hooks: Sequence[Hook]
) -> TrainState:
    """Takes a step with each batch.

    Args:
      state: where to start; it is donated.
      steps: as from `make_train_step`, one for each objective, by name.
      batches: from the state's step on.
      hooks: called in this order; what they raise ends the loop.

    Returns: the state after the last batch.
    """
    under_way: FinishedStep | None = None

    def finish() -> None:
        nonlocal under_way
        if under_way is not None:
            done, under_way = under_way, None
            for hook in hooks:
                hook.finished(done)

    for batch in batches:
        with jax.transfer_guard("disallow"):
            state, metrics = steps[batch.objective](state, batch.arrays)
        finish()  # the step before: this one is under way
        under_way = FinishedStep(batch, metrics)
        for hook in hooks:
            hook.launched(batch.step)
        for hook in hooks:
            if hook.is_due(batch.step):
                finish()
                hook.act(state)
    finish()
    for hook in hooks:
        hook.ended(state)
    return state
