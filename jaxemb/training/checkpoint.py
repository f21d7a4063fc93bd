"""Checkpoints through Orbax: asynchronous, sharded, whole or not there.

A checkpoint holds the state, the step, the index of the next example and the resolved config.
"""

import logging
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from jaxemb.errors import UserError
from jaxemb.training.step import TrainState


class Checkpoints:
    """The `checkpoints/` folder of a run."""

    def __init__(self, directory: Path, keep: int | None = None) -> None:
        logging.getLogger("absl").setLevel(logging.WARNING)  # Orbax tells every phase of every save
        policies = ocp.training.preservation_policies
        self.directory = directory
        self._checkpointer = ocp.training.Checkpointer(
            directory.absolute(),
            preservation_policy=policies.PreserveAll() if keep is None else policies.LatestN(keep),
            cleanup_tmp_directories=keep is not None,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._checkpointer.close()  # waits for a save that is under way

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    def save(self, state: TrainState, next_example: int, config: dict[str, Any], *, wait: bool = False) -> None:
        """Starts writing `state`; returns as soon as it may be donated. `wait` blocks until it is written."""
        step = int(state.step)
        if step in self.steps:
            return
        self._checkpointer.save_checkpointables_async(
            step,
            {"params": state.params, "opt_state": state.opt_state},
            force=True,
            custom_metadata={"step": step, "next_example": next_example, "config": config},
        )
        if wait:
            self._checkpointer.wait()

    def _resolve(self, step: int | None) -> int:
        steps = self.steps
        if not steps:
            raise UserError(f"{self.directory}: no complete checkpoint here")
        if step is not None and step not in steps:
            raise UserError(f"{self.directory}: no checkpoint of step {step}; there are {', '.join(map(str, steps))}")
        return steps[-1] if step is None else step

    def restore(self, like: TrainState, step: int | None = None) -> TrainState:
        """Reads the latest checkpoint, or that of `step`, with the shapes and shardings of `like`."""
        step = self._resolve(step)
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
            {"params": like.params, "opt_state": like.opt_state},
        )
        loaded = self._checkpointer.load_checkpointables(step, abstract)
        number = jax.device_put(jax.numpy.asarray(step, like.step.dtype), like.step.sharding)
        return TrainState(number, loaded["params"], loaded["opt_state"])

    def restore_params(self, like: Any, step: int | None = None) -> Any:
        """Reads the parameters alone, with the shapes of `like`, onto one device."""
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), like)
        return self._checkpointer.load_checkpointables(self._resolve(step), {"params": abstract})["params"]
