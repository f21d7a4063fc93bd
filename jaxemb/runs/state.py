"""The state of a run."""

from typing import Any, NamedTuple


class TrainState(NamedTuple):
    """All that a step changes."""

    step: Any
    """Number of steps taken, int32 scalar."""
    params: Any
    opt_state: Any
