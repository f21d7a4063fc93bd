"""Which objective a step trains."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from jaxemb import distributed
from jaxemb.config import MAIN, TrainConfig
from jaxemb.errors import UsageError

CHECKED = 1024
"""Steps whose objectives the processes of a run compare."""
_MIXED = "data.batches: these batches mix sources, but with `objectives` each must be of one source"


@runtime_checkable
class OneSource(Protocol):
    """Batches of one source each."""

    def source_of(self, step: int) -> int | None:
        """The source of the batch at `step` (from 0), by its position in `data.sources`: a pure function of the seed
        and the step. None for a batch of several sources.
        """


def turns_of(config: TrainConfig, batches: object, start: int) -> Callable[[int], str]:
    """The name of the objective that trains on the batch at a step, counted from 0.

    Args:
      config: of the run.
      batches: of the run, as `OneSource` if it has several objectives.
      start: the first step. The processes compare their objectives from there on: with different ones, they would wait
        for each other for ever.

    Raises:
      UsageError: if there are several objectives and the batches mix sources, or the processes disagree.
    """
    if not config.objectives:
        return lambda step: MAIN
    if not isinstance(batches, OneSource):
        raise UsageError(_MIXED)
    source_of = batches.source_of

    def objective_of(step: int) -> str:
        source = source_of(step)
        if source is None:
            raise UsageError(_MIXED)
        return config.objective_of(source)

    end = min(start + CHECKED, config.training.steps)
    distributed.check_same("the order of the objectives", " ".join(map(objective_of, range(start, end))))
    return objective_of
