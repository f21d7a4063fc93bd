"""Metrics of a run: `metrics.jsonl` and TensorBoard events."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from jaxemb.errors import CannotWrite
from jaxemb.files import write_atomically
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


class NoMetrics:
    """Writes nothing: replaces `MetricsWriter` on all processes except the primary one."""

    def __enter__(self) -> "NoMetrics":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is open."""

    def write(self, step: int, prefix: str, values: Mapping[str, float]) -> None:
        """Nothing."""


class MetricsWriter:
    """Writes scalars as one JSON line per call, flushed, and to TensorBoard.

    The calling thread writes the events: the thread of tensorboardX's `SummaryWriter` dies on a full disk, and its
    queue then blocks the training loop for ever.
    """

    def __init__(self, path: Path, tensorboard: Path, start: int = 0) -> None:
        """Opens the files of a run that is resumed after step `start`; lines of later steps are dropped."""
        if path.exists():
            kept = [json.dumps(line) + "\n" for line in read_metrics(path) if line["step"] <= start]
            write_atomically(path, "".join(kept))
        self._path = path
        tensorboard.mkdir(exist_ok=True)
        self._lines = path.open("ab", buffering=0)  # unbuffered: closing it writes nothing
        self._events = EventsWriter(str(tensorboard / "events"))
        if start:  # tells TensorBoard to drop later steps
            self._event(Event(step=start + 1, session_log=SessionLog(status=SessionLog.START)))

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        with contextlib.suppress(OSError):  # `write` has reported it already
            self._events.close()

    def _event(self, event: Event) -> None:
        event.wall_time = time.time()
        self._events.write_event(event)
        self._events.flush()

    def write(self, step: int, prefix: str, values: Mapping[str, float]) -> None:
        """Writes `values` of a step under names `prefix/name`.

        Raises:
          CannotWrite: if the disk is full, for example.
        """
        named = {f"{prefix}/{name}": value for name, value in values.items()}
        try:
            line = {"step": step, "time": round(time.time(), 3), **named}
            self._lines.write((json.dumps(line) + "\n").encode())
            scalars = [Summary.Value(tag=name, simple_value=value) for name, value in named.items()]
            self._event(Event(step=step, summary=Summary(value=scalars)))
        except OSError as error:
            raise CannotWrite(f"{self._path.parent}: cannot be written ({error.strerror})") from error
