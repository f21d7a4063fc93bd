"""The parameters that a run trains: all except those of `training.freeze` and, with LoRA, the encoder's own.

The step differentiates only with respect to the trained part. So frozen parameters add nothing to the gradient norm,
have no moments and no weight decay, and XLA computes only the part of the backward pass that the others need.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax

from jaxemb.config import MlmObjective, TrainConfig
from jaxemb.config.assignment import key_of
from jaxemb.errors import UsageError
from jaxemb.models.paths import OBJECTIVE, list_paths, nearest
from jaxemb.objectives.parameters import init_params

HEAD = "(training_mlp|layer_norm|dense)/.*"
"""The embedding head, which masked language modelling does not use: it is not trained, so it must not decay either."""

Select = Callable[[Any], Any]
"""Maps all parameters to the tree of the trained ones, without the keys of the others."""


def everything(params: Any) -> Any:
    """The `Select` of a run that freezes nothing."""
    return params


def overlay(params: Any, part: Any) -> Any:
    """The parameters, with those in `part` replaced.

    >>> overlay({"encoder": {"kernel": 1, "bias": 2}, "dense": 3}, {"encoder": {"bias": 4}})
    {'encoder': {'kernel': 1, 'bias': 4}, 'dense': 3}
    """
    if not isinstance(part, Mapping):
        return part
    return {name: overlay(tree, part[name]) if name in part else tree for name, tree in params.items()}


def select_trained(config: TrainConfig) -> Select:
    """Reads `training.freeze` and `model.lora`.

    Args:
      config: with the encoder of the run; its `vocab_size` may be left out.

    Raises:
      UsageError: if a pattern matches no parameter (or `model.lora.targets` no kernel of the encoder), or nothing is
        left to train.
    """
    lora, patterns = config.model.lora, config.training.freeze
    if any(isinstance(objective, MlmObjective) for objective in config.trained_objectives.values()):
        patterns += (HEAD,)
    if lora is None and not patterns:
        return everything
    encoder = config.model.encoder
    encoder = encoder.model_copy(update={"vocab_size": encoder.vocab_size or 1})
    sized = config.model_copy(update={"model": config.model.model_copy(update={"encoder": encoder})})
    paths = list_paths(jax.eval_shape(partial(init_params, sized), jax.random.key(0)))
    for pattern in config.training.freeze:
        if not any(re.fullmatch(pattern, path) for path in paths):
            raise UsageError(f"training.freeze: {pattern!r} matches no parameter; {nearest(pattern, paths)}")
    if lora is not None:
        tower = "(?:anchor/|positive/)?"
        patterns += (f"{tower}encoder/.*",) if lora.train_head else (f"(?!{tower}lora/|objective/).*",)
    trained = {path for path in paths if not any(re.fullmatch(pattern, path) for pattern in patterns)}
    if not trained:
        raise UsageError(
            f"training.freeze: nothing is left to train; {', '.join(map(repr, patterns))} match everything"
        )
    for name in config.trained_objectives:
        own = tuple(f"{OBJECTIVE}/{other}/" for other in config.objectives if other != name)
        if all(path.startswith(own) for path in trained):
            raise UsageError(f"training.freeze: nothing is left to train in the steps of {key_of(name)}")
    return partial(_prune, trained)


def _prune(paths: set[str], tree: Any, prefix: str = "") -> Any:
    kept = {}
    for name, inner in tree.items():
        path = prefix + name
        if isinstance(inner, Mapping):
            if inner := _prune(paths, inner, f"{path}/"):
                kept[name] = inner
        elif path in paths:
            kept[name] = inner
    return kept
