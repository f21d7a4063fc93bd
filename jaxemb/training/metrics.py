"""Metrics of a run: `metrics.jsonl` and TensorBoard events."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorboardX import SummaryWriter


class MetricsWriter:
    """Writes scalars, one JSON line a call, flushed; and the same to TensorBoard."""

    def __init__(self, run_dir: Path) -> None:
        self._lines = (run_dir / "metrics.jsonl").open("a", encoding="utf-8")
        self._events = SummaryWriter(str(run_dir / "tensorboard"))

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
