"""The parameters that a run starts from."""

from functools import partial

import jax
from jax.sharding import Mesh

from jaxemb.config import TrainConfig
from jaxemb.encoding import Towers
from jaxemb.models import Params, Side, pad_vocabulary, tower_params
from jaxemb.models.lora import add_adapters
from jaxemb.models.paths import model_params
from jaxemb.models.towers import copied, each_tower
from jaxemb.objectives.parameters import init_objective, init_params, own_params
from jaxemb.parallel import param_shardings


def params_to_start_from(config: TrainConfig, mesh: Mesh, start_from: Towers | None) -> Params:
    """The initial parameters; drawn with their final sharding, so that no device holds all of a sharded model.

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

    return each_tower(model, tower) | own_params(drawn)
