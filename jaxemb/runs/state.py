"""The state of a run."""

from typing import Any, NamedTuple


class TrainState(NamedTuple):
    """Everything that a step changes."""

    step: Any
    """Number of finished steps, int32 scalar."""
    params: Any
    opt_state: Any
