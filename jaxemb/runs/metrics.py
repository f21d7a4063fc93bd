"""Reading `metrics.jsonl`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the lines of a `metrics.jsonl`; a last one that a kill cut off is left out."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
