"""All that a run trains: the model's parameters and, under `objective`, what only the loss has (a classifier)."""

from functools import partial

import jax
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from jaxemb import objectives
from jaxemb.config import ModelConfig, TrainConfig
from jaxemb.encoding import Towers
from jaxemb.models import Params, Side, init_towers, pad_vocabulary, tower_params
from jaxemb.models.lora import add_adapters
from jaxemb.models.paths import OBJECTIVE, model_params
from jaxemb.models.towers import copied, each_tower, merge_towers
from jaxemb.parallel import param_shardings

_OWN = 0x0B1
"""Folded into the key of the model's parameters."""


def init_objective(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws `{"objective": ...}`; empty where the loss has no parameters."""
    return objectives.init_params(config.objective, config.model, jax.random.fold_in(key, _OWN))


def init_params(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws the initial parameters of a run that starts from nothing, as `models.init_towers` and beside it."""
    return {**init_towers(config.model, key), **init_objective(config, key)}


def with_merged_adapters(model: ModelConfig, params: Params) -> Params:
    """The parameters with LoRA's adapters merged into the kernels, and those of the objective."""
    return merge_towers(model, model_params(params)) | _own(params)


def _own(params: Params) -> Params:
    return {name: tree for name, tree in params.items() if name == OBJECTIVE}


def params_to_start_from(config: TrainConfig, mesh: Mesh, start_from: Towers | None) -> Params:
    """What training starts from; drawn where it will lie, so that no device holds all of a sharded model.

    Args:
      config: with the depth of the first stage.
      mesh: the devices.
      start_from: the model of `model.init_from`; None without one.
    """
    model, key = config.model, jax.random.key(config.training.seed)
    whole = start_from is None or model.new_head
    draw = partial(init_params if whole else init_objective, config)
    drawn = jax.jit(draw, out_shardings=param_shardings(mesh, jax.eval_shape(draw, key)))(key)
    if start_from is None:
        return drawn

    def tower(side: Side) -> Params:
        base = getattr(start_from, side).params
        encoder = pad_vocabulary(base["encoder"], model.table_rows)
        if model.new_head:
            params = {**tower_params(model, model_params(drawn), side), "encoder": encoder}
        else:
            params = add_adapters(model, {**base, "encoder": encoder}, key)
        return params if side == "anchor" else copied(params)

    return each_tower(model, tower) | _own(drawn)
