"""LoRA (Hu et al. 2021, arXiv 2106.09685): a kernel W is used as W + alpha / rank * A B, and only A and B are trained.

The adapters are stored separately from the encoder: for the path of each adapted kernel, `params["lora"]` has `a`
[L, in, r] and `b` [L, r, out], stacked over all L layers as kernels are. They are added to the kernels before use
(section 4.2), which is exact for every family, packed or padded.
"""

import re

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, UInt32

from jaxemb.config import LoraConfig, ModelConfig
from jaxemb.errors import UsageError
from jaxemb.models.heads import Params
from jaxemb.models.paths import at_path, list_paths, nearest, with_leaves

LORA = "lora"
"""The key of the adapters in the parameters."""
_ADAPTERS = 0x10FA
"""Folded into the random key of the other parameters."""


def targets(config: LoraConfig, params: Params) -> list[str]:
    """Paths of the kernels that get an adapter, in the order of `params` (arrays or their shapes).

    Raises:
      UsageError: if there are none.
    """
    kernels = [path for path in list_paths({"encoder": params["encoder"]}) if path.endswith("/kernel")]
    found = [path for path in kernels if re.fullmatch(config.targets, path)]
    if not found:
        raise UsageError(
            f"model.lora.targets: {config.targets!r} matches no kernel of the encoder; "
            f"{nearest(config.targets, kernels)}"
        )
    return found


def add_adapters(config: ModelConfig, params: Params, key: PRNGKeyArray | UInt32[Array, "W"]) -> Params:
    """Adds new adapters to the parameters; they have no effect yet. Without `config.lora`, returns `params`.

    A is drawn from U(-1/sqrt(in), 1/sqrt(in)), as PEFT does (He et al.'s uniform with a = sqrt(5)), and B is zero.

    Raises:
      UsageError: if `config.lora.targets` matches no kernel.
    """
    if config.lora is None:
        return params
    adapters = {}
    key = jax.random.fold_in(key, _ADAPTERS)
    for number, path in enumerate(targets(config.lora, params)):
        *layers, inputs, outputs = at_path(params, path).shape
        bound = inputs**-0.5
        shape = (*layers, inputs, config.lora.rank)
        a = jax.random.uniform(jax.random.fold_in(key, number), shape, minval=-bound, maxval=bound)
        adapters[path] = {"a": a, "b": jnp.zeros((*layers, config.lora.rank, outputs))}
    return {**params, LORA: adapters}


def merge(config: ModelConfig, params: Params) -> Params:
    """Adds the adapters to their kernels and drops them: W + alpha / rank * A B, equation 3. Differentiable.

    Parameters without adapters are returned unchanged.

    Raises:
      ValueError: if there are adapters and `config.lora`, which has their scale, is not set.
    """
    if LORA not in params:
        return params
    if config.lora is None:
        raise ValueError("the parameters have LoRA's adapters, but model.lora, which has their scale, is not set")
    scale = config.lora.alpha / config.lora.rank
    merged = {
        path: at_path(params, path) + scale * jnp.matmul(adapter["a"], adapter["b"], precision="highest")
        for path, adapter in params[LORA].items()
    }
    return with_leaves({name: tree for name, tree in params.items() if name != LORA}, merged)
