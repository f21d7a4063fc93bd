"""The optimizer of a run with several objectives: what a step's objective does not use does not move.

A zero gradient is not enough for that: weight decay would shrink a classifier in the steps that do not use it, and
Adam's moments would move it. In sentence-transformers' trainer with several losses such a parameter has no gradient at
all, and PyTorch's optimizers leave it, its moments and its number of updates alone. So do we.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxemb.config import MAIN, OptimizerConfig
from jaxemb.models.paths import OBJECTIVE, model_params
from jaxemb.objectives.parameters import params_of
from jaxemb.training.step.freezing import overlay
from jaxemb.training.step.optimizer import after_clipping, clipping


class ByObjective(NamedTuple):
    """The state of the optimizer. Each part has its own moments and number of updates, for Adam's bias correction."""

    schedule: optax.ScaleByScheduleState
    """The number of updates of the run: the learning rate of every part follows it."""
    model: Any
    """Of the parameters that all objectives share."""
    own: dict[str, Any]
    """Of the parameters of single objectives, by name."""


def build(config: OptimizerConfig, steps: int, named: Collection[str]) -> optax.GradientTransformation:
    """The optimizer of a run of `steps` steps with several objectives.

    Its updates are those of the optimizer of a run with one objective, for the gradient of the parameters that one
    objective uses: `update` takes a part of the tree that `init` takes. The gradient is clipped by the norm of all of
    that part.

    Args:
      config: of the optimizer.
      steps: of the run.
      named: the names of `objectives`.
    """
    clip, rest = clipping(config), optax.chain(*after_clipping(config, steps))

    def init(params: Any) -> ByObjective:
        model, own = _parts(params, named)
        zero = optax.ScaleByScheduleState(jnp.zeros((), jnp.int32))
        return ByObjective(zero, rest.init(model), {name: rest.init(part) for name, part in own.items()})

    def update(gradients: Any, state: ByObjective, params: Any = None) -> tuple[Any, ByObjective]:
        gradients, _ = clip.update(gradients, clip.init(gradients))
        (model, own), (model_values, own_values) = _parts(gradients, named), _parts(params, named)
        updates, model_state = rest.update(model, _at(state.schedule, state.model), model_values)
        merged, own_states = overlay(gradients, updates), dict(state.own)
        for name, part in own.items():
            updates, own_states[name] = rest.update(part, _at(state.schedule, state.own[name]), own_values[name])
            merged = overlay(merged, updates)
        count = optax.ScaleByScheduleState(optax.safe_increment(state.schedule.count))
        return merged, ByObjective(count, model_state, own_states)

    return optax.GradientTransformation(init, update)


def _parts(params: Mapping[str, Any], named: Collection[str]) -> tuple[Any, dict[str, Any]]:
    """The shared parameters, and those of each objective that has some, at their places."""
    own = {}
    for name in (MAIN, *sorted(named)):
        if tree := params_of(dict(params), name, named).get(OBJECTIVE):
            own[name] = {OBJECTIVE: tree}
    return model_params(params), own


def _at(schedule: optax.ScaleByScheduleState, state: Any) -> Any:
    """A part's state with the run's number of updates for the learning rate."""

    def is_schedule(node: Any) -> bool:
        return isinstance(node, optax.ScaleByScheduleState)

    return jax.tree.map(lambda node: schedule if is_schedule(node) else node, state, is_leaf=is_schedule)
