"""All parameters that a run trains: the model's and, under `objective`, the loss's own, such as a classifier."""

import jax
from jaxtyping import PRNGKeyArray

from jaxemb import objectives
from jaxemb.config import ModelConfig, TrainConfig
from jaxemb.models import Params, init_towers
from jaxemb.models.paths import OBJECTIVE, model_params
from jaxemb.models.towers import merge_towers

_OWN = 0x0B1
"""Folded into the random key of the model's parameters."""


def init_objective(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws `{"objective": ...}`; empty where the loss has no parameters."""
    return objectives.init_params(config.objective, config.model, jax.random.fold_in(key, _OWN))


def init_params(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws all initial parameters of a run that starts from no model: `models.init_towers` and the loss's own."""
    return {**init_towers(config.model, key), **init_objective(config, key)}


def with_merged_adapters(model: ModelConfig, params: Params) -> Params:
    """The parameters with the LoRA adapters merged into the kernels, including those of the objective."""
    return merge_towers(model, model_params(params)) | own_params(params)


def own_params(params: Params) -> Params:
    """`{"objective": ...}` of a run's parameters; empty if the loss has none."""
    return {name: tree for name, tree in params.items() if name == OBJECTIVE}
