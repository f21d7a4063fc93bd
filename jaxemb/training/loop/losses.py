"""The loss of each objective of a run with several."""

import collections
import math


class LossByObjective:
    """The mean loss of each objective since the last line of the log: a single step shows one of them only.

    >>> losses = LossByObjective()
    >>> losses.add("main", 2.0), losses.add("nli", 1.0), losses.add("main", 3.0)
    (None, None, None)
    >>> losses.means(), losses.means()
    ({'loss/main': 2.5, 'loss/nli': 1.0}, {})
    """

    def __init__(self) -> None:
        self._losses: dict[str, list[float]] = collections.defaultdict(list)

    def add(self, name: str, loss: float) -> None:
        """Notes the loss of a step; one that is not finite, whose step is skipped, is left out."""
        if math.isfinite(loss):
            self._losses[name].append(loss)

    def means(self) -> dict[str, float]:
        """`loss/NAME` of each objective that had a step since the last call."""
        means = {f"loss/{name}": math.fsum(losses) / len(losses) for name, losses in self._losses.items()}
        self._losses.clear()
        return means
