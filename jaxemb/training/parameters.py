"""All that a run trains: the model's parameters and, under `objective`, what only the loss has (a classifier)."""

from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from jaxemb import objectives
from jaxemb.config import TrainConfig
from jaxemb.models import Params, init_towers

OBJECTIVE = "objective"
_OWN = 0x0B1
"""Folded into the key of the model's parameters."""


def init_objective(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws `{"objective": ...}`; empty where the loss has no parameters."""
    return objectives.init_params(config.objective, config.model, jax.random.fold_in(key, _OWN))


def init_params(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws the initial parameters of a run that starts from nothing, as `models.init_towers` and beside it."""
    return {**init_towers(config.model, key), **init_objective(config, key)}


def model_params(params: Params) -> dict[str, Any]:
    """The model's own."""
    return {name: tree for name, tree in params.items() if name != OBJECTIVE}
