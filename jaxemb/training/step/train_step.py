"""Training state and the compiled step."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array

from jaxemb.objectives import Objective
from jaxemb.parallel import batch_sharding, param_shardings, replicated
from jaxemb.runs.state import TrainState
from jaxemb.training.step.freezing import Select, everything, overlay
from jaxemb.training.step.measures import group_norms, real_tokens

STOP = "stop"
"""A column of the batches of several processes, one number per device: its maximum is a metric on all processes."""
TOKENS = "tokens"
"""The metric that counts the real tokens of a batch."""
TrainStep = Callable[[TrainState, Mapping[str, Any]], tuple[TrainState, dict[str, Array]]]


def state_shardings(mesh: Mesh, state: TrainState) -> Any:
    """The sharding of each array of the state (or of its shape): parameters and their moments are split over `fsdp`.

    Returns: a `TrainState` of `NamedSharding`s.
    """
    return TrainState(replicated(mesh), param_shardings(mesh, state.params), param_shardings(mesh, state.opt_state))


def _build(optimizer: optax.GradientTransformation, trained: Select, params: Any) -> TrainState:
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(trained(params)))


def abstract_state(
    params: Any, optimizer: optax.GradientTransformation, mesh: Mesh, trained: Select = everything
) -> TrainState:
    """Shapes, types and shardings of the state for these parameters (or their shapes), for `restore`."""
    state = jax.eval_shape(partial(_build, optimizer, trained), params)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state,
        state_shardings(mesh, state),
    )


def init_state(
    params: Any, optimizer: optax.GradientTransformation, mesh: Mesh, trained: Select = everything
) -> TrainState:
    """Puts parameters on the mesh, and initializes the optimizer of the trained ones there."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract_state(params, optimizer, mesh, trained))
    build = jax.jit(partial(_build, optimizer, trained), out_shardings=shardings)
    return build(jax.device_put(params, shardings.params))


def make_train_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    state: TrainState,
    seed: int,
    trained: Select = everything,
    *,
    skip_not_finite: bool = False,
    name: str = "train_step",
) -> TrainStep:
    """Compiles `(state, batch) -> (state, metrics)`; the state is donated.

    The objective's random key is a pure function of (seed, step). The gradient is taken outside the objective's
    `shard_map`, so it is the gradient of the global loss on any mesh. Only the parameters that `trained` selects have a
    gradient and change. With `skip_not_finite`, a step whose loss or gradient is not finite changes only the number of
    steps. `name` is that of the compiled program.
    """

    def train_step(state: TrainState, batch: Mapping[str, Any]) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        part = trained(state.params)
        columns = {name: values for name, values in batch.items() if name != STOP}

        def loss_of(part: Any) -> tuple[Array, dict[str, Array]]:
            return objective(overlay(state.params, part), columns, key)

        (loss, metrics), gradients = jax.value_and_grad(loss_of, has_aux=True)(part)
        updates, opt_state = optimizer.update(gradients, state.opt_state, part)
        params = overlay(state.params, optax.apply_updates(part, updates))
        metrics = {"loss": loss, **metrics, "gradient_norm": optax.tree.norm(gradients), TOKENS: real_tokens(columns)}
        for name, tree in (("gradient_norm", gradients), ("parameter_norm", part), ("update_norm", updates)):
            metrics |= group_norms(name, tree)
        if skip_not_finite:
            fine = jnp.isfinite(loss) & jnp.isfinite(metrics["gradient_norm"])
            before = (state.params, state.opt_state)
            params, opt_state = jax.tree.map(lambda new, old: jnp.where(fine, new, old), (params, opt_state), before)
        if STOP in batch:
            metrics[STOP] = jnp.max(batch[STOP])
        return TrainState(state.step + 1, params, opt_state), metrics

    train_step.__name__ = name
    shardings = state_shardings(mesh, state)
    return jax.jit(train_step, donate_argnums=0, out_shardings=(shardings, replicated(mesh)))


def put_batch(batch: Mapping[str, Any], mesh: Mesh) -> Mapping[str, Any]:
    """Puts this process's rows of a batch on its devices; the leading axis is split over the whole mesh."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)
