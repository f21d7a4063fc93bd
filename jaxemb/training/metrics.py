"""Metrics of a run: `metrics.jsonl` and TensorBoard events."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from tensorboardX import SummaryWriter

from jaxemb.files import write_atomically


def _lines_until(path: Path, step: int) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            keep = line.endswith("\n") and json.loads(line)["step"] <= step
        except ValueError:  # cut off by a kill
            keep = False
        if keep:
            yield line


class MetricsWriter:
    """Writes scalars, one JSON line a call, flushed; and the same to TensorBoard."""

    def __init__(self, path: Path, tensorboard: Path, start: int = 0) -> None:
        """Opens the files of a run that goes on after step `start`; what was written of later steps is dropped."""
        if path.exists():
            write_atomically(path, "".join(_lines_until(path, start)))
        self._lines = path.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(tensorboard), purge_step=start + 1 if start else None)

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._events.close()

    def write(self, step: int, prefix: str, values: Mapping[str, float]) -> None:
        """Writes `values` of a step under names `prefix/name`."""
        named = {f"{prefix}/{name}": value for name, value in values.items()}
        self._lines.write(json.dumps({"step": step, "time": round(time.time(), 3), **named}) + "\n")
        self._lines.flush()
        for name, value in named.items():
            self._events.add_scalar(name, value, step)
