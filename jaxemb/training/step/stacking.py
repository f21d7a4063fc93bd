"""Progressive stacking (Gong et al. 2019; LaBSE, arXiv 2007.01852): a deep encoder from the layers of a shallow one."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxemb.models.paths import is_stacked
from jaxemb.runs.state import TrainState
from jaxemb.training.step.freezing import Select, everything
from jaxemb.training.step.train_step import state_shardings


def stack_layers(tree: Any, layers: int) -> Any:
    """Parameters, or an optimizer's state, for a deeper encoder: layer i copies layer i modulo the old number.

    Everything else (embeddings, heads, counts of steps) stays as it is.

    >>> shallow = {"encoder": {"layers": {"scale": jnp.array([1.0, 2.0])}, "norm": {"scale": jnp.array([3.0])}}}
    >>> stacked = stack_layers(shallow, 4)["encoder"]
    >>> stacked["layers"]["scale"].tolist(), stacked["norm"]["scale"].tolist()
    ([1.0, 2.0, 1.0, 2.0], [3.0])
    """

    def stacked(path: Any, leaf: Any) -> Any:
        return leaf[jnp.arange(layers) % len(leaf)] if is_stacked(path) else leaf

    return jax.tree_util.tree_map_with_path(stacked, tree)


def stack_state(
    state: TrainState,
    layers: int,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    trained: Select = everything,
    reset: bool = False,
) -> TrainState:
    """The state that the next stage of training starts from.

    Args:
      state: of the stage that ended.
      layers: number of encoder layers in the next stage.
      optimizer: of both stages.
      mesh: the devices.
      trained: selects the trained parameters.
      reset: whether to reset the optimizer's moments to zero; the learning rate schedule continues in any case.
    """

    def build(state: TrainState) -> TrainState:
        params = stack_layers(state.params, layers)
        if not reset:
            return TrainState(state.step, params, stack_layers(state.opt_state, layers))
        return TrainState(state.step, params, _with_schedule_of(state.opt_state, optimizer.init(trained(params))))

    shardings = state_shardings(mesh, jax.eval_shape(build, state))
    return jax.jit(build, out_shardings=shardings)(state)


def _with_schedule_of(old: Any, fresh: Any) -> Any:
    def is_schedule(node: Any) -> bool:
        return isinstance(node, optax.ScaleByScheduleState)

    return jax.tree.map(lambda new, then: then if is_schedule(new) else new, fresh, old, is_leaf=is_schedule)
