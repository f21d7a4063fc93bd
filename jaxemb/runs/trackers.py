"""Metrics of a run: `metrics.jsonl` and TensorBoard events."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

from jaxemb import distributed
from jaxemb.errors import CannotWrite
from jaxemb.files import write_atomically
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics


@contextlib.contextmanager
def _absent(module: str) -> Iterator[None]:
    """Inside, imports behave as if a module were not installed, unless it has been imported already."""
    loaded = module in sys.modules
    if not loaded:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not loaded:
            del sys.modules[module]


with _absent("torch"):  # its import takes seconds, and there are no PyTorch tensors here
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary


@runtime_checkable
class Tracker(Protocol):
    """Where metrics go. Any class with these two methods is one."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of a step, by their whole names (`train/loss`).

        Raises:
          OSError: if it cannot be written.
        """

    def close(self) -> None:
        """Called once, after the last `write`."""


class JsonLines:
    """`metrics.jsonl`: one line per call, flushed."""

    def __init__(self, path: Path, start: int = 0) -> None:
        """Opens the file of a run that has taken `start` steps; lines of later steps are dropped."""
        if path.exists():
            kept = [json.dumps(line) + "\n" for line in read_metrics(path) if line["step"] <= start]
            write_atomically(path, "".join(kept))
        self._lines = path.open("ab", buffering=0)  # unbuffered: closing it writes nothing

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """A line with step, time and values."""
        line = {"step": step, "time": round(time.time(), 3), **values}
        self._lines.write((json.dumps(line) + "\n").encode())

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()


class TensorBoard:
    """TensorBoard events.

    The calling thread writes them: the thread of tensorboardX's `SummaryWriter` dies on a full disk, and its
    queue then blocks the training loop for ever.
    """

    def __init__(self, folder: Path, start: int = 0) -> None:
        """Opens a new file in the folder for a run that has taken `start` steps."""
        folder.mkdir(exist_ok=True)
        self._events = EventsWriter(str(folder / "events"))
        if start:  # tells TensorBoard to drop later steps
            self._write(Event(step=start + 1, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """An event with a scalar for each value."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(step=step, summary=Summary(value=scalars)))

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):  # `write` has reported it already
            self._events.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._events.write_event(event)
        self._events.flush()


class Trackers:
    """Writes metrics to each of several trackers."""

    def __init__(self, folder: Path, *trackers: Tracker) -> None:
        """`folder` is the one that errors name."""
        self._folder, self._trackers = folder, trackers

    def __enter__(self) -> "Trackers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tracker in self._trackers:
            tracker.close()

    def write(self, step: int, prefix: str, values: Mapping[str, float]) -> None:
        """Writes `values` of a step under names `prefix/name`.

        Raises:
          CannotWrite: if the disk is full, for example.
        """
        named = {f"{prefix}/{name}": value for name, value in values.items()}
        try:
            for tracker in self._trackers:
                tracker.write(step, named)
        except OSError as error:
            raise CannotWrite(f"{self._folder}: cannot be written ({error.strerror})") from error


def trackers_of(run: RunDirectory, start: int) -> Trackers:
    """The trackers of a run that has taken `start` steps; only the primary process has any."""
    if not distributed.is_first():
        return Trackers(run.path)
    return Trackers(run.path, JsonLines(run.metrics, start), TensorBoard(run.tensorboard, start))
