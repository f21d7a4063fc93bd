"""The optimizers: warmup, decay, clipping, and no weight decay on biases and layer norms.

The kernels of all layers are stacked in one array. LAMB and Adafactor still take the norm or the mean square of each
layer separately.
"""

import math
from typing import Any

import jax
import optax

from jaxemb.config import OptimizerConfig
from jaxemb.models.paths import is_stacked

DECAYED = ("kernel", "embedding", "a", "b")  # the last two are LoRA's


def decay_mask(params: Any) -> Any:
    """True at leaves with weight decay: kernels, adapters and embedding tables, not biases and scales of norms."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key in DECAYED, params)


def schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Learning rate by step: linear warmup, then linear or cosine decay to 0, or constant.

    Step n of W warmup steps, counted from 1, uses n / W of the peak, so the first step uses peak / W. PyTorch's
    schedules of the same name use 0 in the first step, and so are one step behind.
    """
    peak, warmup = config.learning_rate, config.warmup_steps or math.ceil(config.warmup_share * steps)
    after = {
        "linear": lambda: optax.linear_schedule(peak, 0.0, max(steps - warmup, 1)),
        "cosine": lambda: optax.cosine_decay_schedule(peak, max(steps - warmup, 1)),
        "constant": lambda: optax.constant_schedule(peak),
    }[config.schedule]()
    return optax.join_schedules([lambda step: peak * (step + 1) / max(warmup, 1), after], [warmup])


def build(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """The optimizer of a run of `steps` steps."""
    return optax.chain(clipping(config), *after_clipping(config, steps))


def clipping(config: OptimizerConfig) -> optax.GradientTransformation:
    """The clipping of the gradient by its global norm; it has no state."""
    return optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm)


def after_clipping(config: OptimizerConfig, steps: int) -> list[optax.GradientTransformation]:
    """What follows the clipping."""
    rate, decay = schedule(config, steps), config.weight_decay
    adam = {"b1": config.beta1, "b2": config.beta2, "eps": config.eps}
    if config.kind == "adamw":
        return [optax.adamw(rate, **adam, weight_decay=decay, mask=decay_mask)]
    if config.kind == "lamb":
        trust = optax.masked(_layer_by_layer(optax.scale_by_trust_ratio()), decay_mask)
        scaled = [optax.scale_by_adam(**adam), optax.add_decayed_weights(decay, decay_mask), trust]
    else:
        relative = [_layer_by_layer(one) for one in (optax.clip_by_block_rms(1.0), optax.scale_by_param_block_rms())]
        scaled = [optax.scale_by_factored_rms(), *relative, optax.add_decayed_weights(decay, decay_mask)]
    return [*scaled, optax.scale_by_learning_rate(rate)]


def _layer_by_layer(transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    """Applies a stateless transformation of single parameters to each layer of stacked parameters separately."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def one(path: Any, update: Any, param: Any) -> Any:
            def alone(update: Any, param: Any) -> Any:
                return transformation.update(update, optax.EmptyState(), param)[0]

            return (jax.vmap(alone) if is_stacked(path) else alone)(update, param)

        return jax.tree_util.tree_map_with_path(one, updates, params), state

    return optax.GradientTransformation(transformation.init, update)
