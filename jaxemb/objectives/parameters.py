"""All parameters that a run trains: the model's and, under `objective`, the loss's own, such as a classifier.

In a run with several objectives, those of the config's `objective` are directly under `objective`, as in a run with
one, and those of each of `objectives` are under its name: `objective/nli/classifier/kernel`.
"""

import zlib
from collections.abc import Collection

import jax
from jaxtyping import PRNGKeyArray

from jaxemb import objectives
from jaxemb.config import MAIN, ModelConfig, TrainConfig
from jaxemb.models import Params, init_towers
from jaxemb.models.paths import OBJECTIVE, model_params
from jaxemb.models.towers import merge_towers

_OWN = 0x0B1
"""Folded into the random key of the model's parameters."""


def init_objective(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws `{"objective": ...}`; empty where no loss has parameters.

    What is drawn for an objective depends on its name, and not on the others.
    """
    key, own = jax.random.fold_in(key, _OWN), Params()
    for name, objective in config.trained_objectives.items():
        if name == MAIN:
            own |= objectives.init_params(objective, config.model, key).get(OBJECTIVE, {})
            continue
        of_name = jax.random.fold_in(key, zlib.crc32(name.encode()))
        if found := objectives.init_params(objective, config.model, of_name).get(OBJECTIVE, {}):
            own[name] = found
    return {OBJECTIVE: own} if own else {}


def init_params(config: TrainConfig, key: PRNGKeyArray) -> Params:
    """Draws all initial parameters of a run that starts from no model: `models.init_towers` and the loss's own."""
    return {**init_towers(config.model, key), **init_objective(config, key)}


def with_merged_adapters(model: ModelConfig, params: Params) -> Params:
    """The parameters with the LoRA adapters merged into the kernels, including those of the objective."""
    return merge_towers(model, model_params(params)) | own_params(params)


def params_of(params: Params, name: str, named: Collection[str]) -> Params:
    """The parameters that one of several objectives uses: all but those of the others.

    Args:
      params: all, or a part of them.
      name: of the objective.
      named: the names of all `objectives`.

    >>> params = {"encoder": 1, "objective": {"classifier": 2, "nli": {"classifier": 3}}}
    >>> params_of(params, "nli", ["nli", "sts"])
    {'encoder': 1, 'objective': {'nli': {'classifier': 3}}}
    >>> params_of(params, "main", ["nli", "sts"]), params_of(params, "sts", ["nli", "sts"])
    ({'encoder': 1, 'objective': {'classifier': 2}}, {'encoder': 1})
    """
    own = {key: tree for key, tree in params.get(OBJECTIVE, {}).items() if (key if key in named else MAIN) == name}
    return {**model_params(params), **({OBJECTIVE: own} if own else {})}


def own_params(params: Params) -> Params:
    """`{"objective": ...}` of a run's parameters; empty if the loss has none."""
    return {name: tree for name, tree in params.items() if name == OBJECTIVE}
