"""Checkpoints through Orbax: asynchronous, sharded, complete or not there.

A checkpoint holds the state, the step, the index of the next example and the resolved config.
"""

import contextlib
import dataclasses
import logging
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
from orbax.checkpoint import multihost
from orbax.checkpoint import v1 as ocp

from jaxemb import distributed
from jaxemb.errors import CannotWrite, UserError
from jaxemb.runs.directory import RunDirectory, steps_to_keep
from jaxemb.runs.state import TrainState

SMALLEST_SLICE = 1 << 20  # bytes; replicas share the writing of larger arrays
_REASONS = re.compile(
    "No space left on device|Disk quota exceeded|Read-only file system|Permission denied|No such file or directory"
)


class _NewestAndBest:
    """Tells Orbax which checkpoints to keep."""

    def __init__(self, keep: int, scores: Callable[[], Mapping[int, float]]) -> None:
        self._keep, self._scores = keep, scores

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = steps_to_keep(steps, self._keep, self._scores())
        return [step in kept for step in steps]


class _AsyncOptions(ocp.options.AsyncOptions):
    """If several processes write, one that has failed does not wait for the others."""

    def v0(self) -> Any:
        barrier = _wait_unless_failed if distributed.is_one_of_several() else None
        return dataclasses.replace(super().v0(), barrier_sync_fn=barrier)


def _wait_unless_failed(*, key: str, timeout_ms: int) -> None:
    """Orbax's barrier. Its writing thread reaches it even after an error, while the others wait at another barrier.

    In the main thread, the current error may be the run's own, which must not prevent the save.
    """
    if (error := sys.exc_info()[1]) is not None and threading.current_thread() is not threading.main_thread():
        raise error
    multihost.get_barrier_sync_fn()(key=key, timeout_ms=timeout_ms)


class Checkpoints:
    """The `checkpoints/` folder of a run."""

    def __init__(
        self, directory: Path, keep: int | None = None, scores: Callable[[], Mapping[int, float]] = dict
    ) -> None:
        """Opens the folder.

        Args:
          directory: created by the first save.
          keep: number of newest checkpoints to keep, besides the best one; None opens for reading and deletes nothing.
          scores: returns the held-out metric of each step that was evaluated.
        """
        logging.getLogger("absl").setLevel(
            logging.CRITICAL
        )  # Orbax logs every phase of a save; it raises errors anyway
        policies = ocp.training.preservation_policies
        self.directory = directory
        self._begun: int | None = None  # newest step that this process began to save
        # Replicas share the writing of an array; of a small one it costs more to slice it, which is compiled, too.
        saving = ocp.options.ArrayOptions.Saving(min_slice_bytes_for_replica_parallel=SMALLEST_SLICE)
        self._checkpointer = ocp.training.Checkpointer(
            directory.absolute(),
            context=ocp.Context(array_options=ocp.options.ArrayOptions(saving=saving), async_options=_AsyncOptions()),
            preservation_policy=policies.PreserveAll() if keep is None else _NewestAndBest(keep, scores),
            cleanup_tmp_directories=keep is not None,
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._errors(of=error):
            self._checkpointer.close()  # waits for a save in progress

    @contextlib.contextmanager
    def _errors(self, of: BaseException | None = None) -> Iterator[None]:
        """Raises errors that name the folder that cannot be written; none if the run already fails with `of`."""
        try:
            yield
        except Exception as error:
            if of is not None:
                return
            if isinstance(error, TimeoutError) and distributed.is_one_of_several():
                raise UserError(
                    f"{self.directory}: another process did not write its part of the checkpoint; see its own error "
                    "message"
                ) from error
            causes = (error, error.__cause__, error.__context__)
            reasons = [one.strerror or str(one) for one in causes if isinstance(one, OSError)]
            reasons += _REASONS.findall(" ".join(map(str, causes)))  # TensorStore reports errors as text only
            if not reasons:
                raise
            raise CannotWrite(
                f"{self.directory}: cannot be written ({reasons[0]}); older checkpoints are whole"
            ) from error

    def _check_writable(self) -> None:
        """Fails if a file cannot be written, before any process has started to write."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.directory, buffering=0) as probe:
            probe.write(bytes(4096))

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return RunDirectory(self.directory.parent).steps

    def save(self, state: TrainState, next_example: int, config: dict[str, Any], *, wait: bool = False) -> None:
        """Starts writing `state`; returns as soon as its buffers may be donated. `wait` blocks until it is written."""
        step = int(state.step)
        # A signal may arrive just after a step was saved, while the save is still in progress.
        if step != self._begun and step not in self.steps:
            self._begun = step
            with self._errors():
                if distributed.is_first():
                    self._check_writable()
                self._checkpointer.save_checkpointables_async(
                    step,
                    {"params": state.params, "opt_state": state.opt_state},
                    force=True,
                    custom_metadata={"step": step, "next_example": next_example, "config": config},
                )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Waits for a save in progress."""
        with self._errors():
            self._checkpointer.wait()

    def chosen(self, step: int | None) -> int:
        """`step`, or the latest when None.

        Raises:
          UserError: if there is no such checkpoint.
        """
        steps = self.steps
        if not steps:
            raise UserError(f"{self.directory}: no complete checkpoint here")
        if step is not None and step not in steps:
            raise UserError(f"{self.directory}: no checkpoint of step {step}; there are {', '.join(map(str, steps))}")
        return steps[-1] if step is None else step

    def _load(self, step: int, abstract: dict[str, Any]) -> Any:
        """Reads parts of a checkpoint, after checking that all shapes match."""
        name = f"{self.directory / str(step)}: the checkpoint"
        choice = f"there are checkpoints of steps {', '.join(map(str, self.steps))}"
        try:
            there = _shapes(self._checkpointer.checkpointables_metadata(step).metadata["params"])
        except Exception as error:
            raise UserError(f"{name} is damaged; {choice}") from error
        if not there:
            raise UserError(f"{name} is damaged; {choice}")
        wanted = _shapes(abstract["params"])
        for parameter in sorted(there | wanted):
            found, expected = there.get(parameter, "not there"), wanted.get(parameter, "not")
            if found != expected:
                raise UserError(
                    f"{name} has another architecture than config.yaml, or is damaged: {parameter} is {found}, but "
                    f"{expected} in the config; {choice}"
                )
        try:
            return self._checkpointer.load_checkpointables(step, abstract)
        except Exception as error:
            raise UserError(f"{name} is damaged; {choice}") from error

    def restore(self, like: TrainState, step: int | None = None) -> TrainState:
        """Reads the latest checkpoint, or the one of `step`, with the shapes and shardings of `like`.

        Raises:
          UserError: if there is none, it is damaged, or it has another architecture.
        """
        step = self.chosen(step)
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
            {"params": like.params, "opt_state": like.opt_state},
        )
        loaded = self._load(step, abstract)
        number = jax.device_put(jax.numpy.asarray(step, like.step.dtype), like.step.sharding)
        return TrainState(number, loaded["params"], loaded["opt_state"])

    def restore_params(self, like: Any, step: int | None = None) -> Any:
        """Reads only the parameters, with the shapes of `like`, onto one device.

        Raises:
          UserError: as `restore`.
        """
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), like)
        return self._load(self.chosen(step), {"params": abstract})["params"]


def _shapes(params: Any) -> dict[str, str]:
    """The shape of each parameter, by its name."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): str(list(leaf.shape)) for path, leaf in leaves}
