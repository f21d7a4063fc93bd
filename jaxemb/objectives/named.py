"""An objective as one of several: it finds its own parameters, and its metrics carry its name."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from jaxemb.config import MAIN
from jaxemb.models.paths import OBJECTIVE, model_params
from jaxemb.objectives.objective import Objective


def named(name: str, objective: Objective) -> Objective:
    """The objective of this name in a run with several.

    It is called with all parameters of the run, and the objective with those under `objective/NAME` in the place where
    it finds them in a run of its own. Its metric `accuracy` becomes `accuracy/NAME`.
    """

    def one(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        if name != MAIN:
            params = {**model_params(params), OBJECTIVE: params.get(OBJECTIVE, {}).get(name, {})}
        loss, metrics = objective(params, batch, key)
        return loss, {f"{metric}/{name}": value for metric, value in metrics.items()}

    return one
