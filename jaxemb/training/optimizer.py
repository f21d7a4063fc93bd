"""AdamW as the papers use it: warmup, decay, clipping, and no weight decay on biases and layer norms."""

import math
from typing import Any

import jax
import optax

from jaxemb.config import OptimizerConfig

DECAYED = ("kernel", "embedding", "a", "b")  # the last two are LoRA's


def decay_mask(params: Any) -> Any:
    """True at leaves that decay: kernels, adapters and embedding tables, not biases and norms' scales."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key in DECAYED, params)


def schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Learning rate by step: linear warmup, then linear or cosine decay to 0, or constant."""
    peak, warmup = config.learning_rate, config.warmup_steps or math.ceil(config.warmup_share * steps)
    after = {
        "linear": lambda: optax.linear_schedule(peak, 0.0, max(steps - warmup, 1)),
        "cosine": lambda: optax.cosine_decay_schedule(peak, max(steps - warmup, 1)),
        "constant": lambda: optax.constant_schedule(peak),
    }[config.schedule]()
    # Counts from 1, so that the first step already learns.
    return optax.join_schedules([lambda step: peak * (step + 1) / max(warmup, 1), after], [warmup])


def build(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """The optimizer of a run of `steps` steps."""
    clip = optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm)
    adamw = optax.adamw(
        schedule(config, steps),
        b1=config.beta1,
        b2=config.beta2,
        eps=config.eps,
        weight_decay=config.weight_decay,
        mask=decay_mask,
    )
    return optax.chain(clip, adamw)
