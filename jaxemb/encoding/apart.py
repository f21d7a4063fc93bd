"""Parameters as separate layers, for CPUs: XLA copies each layer out of a stack in every call, which takes longer than
embedding a short query.
"""

import threading
import weakref
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jaxemb.config import ModelConfig
from jaxemb.models import Params

_views: dict[tuple[int, ...], dict[str, Any]] = {}  # by the ids of the stacks, as long as these exist
_viewing = threading.Lock()


def layers_apart(config: ModelConfig, params: Params) -> Params:
    """The parameters with `layer_0`, `layer_1`, ... instead of the stacked `layers`: views of the same memory.

    They are returned unchanged if the program loops over the stack (`scan_layers`), if there are adapters (which are
    merged into stacks), on a mesh, and on accelerators.
    """
    encoder = params["encoder"]
    stacks = jax.tree.leaves(encoder.get("layers", {}))
    unrolled = jax.default_backend() == "cpu" and not config.scan_layers
    if not stacks or not unrolled or "lora" in params or not all(map(_lies_here, stacks)):
        return params
    rest = {name: value for name, value in encoder.items() if name != "layers"}
    return {**params, "encoder": rest | _layers(encoder["layers"], stacks)}


def _lies_here(stack: Any) -> bool:
    return isinstance(stack, np.ndarray) or (
        isinstance(stack, jax.Array) and isinstance(stack.sharding, SingleDeviceSharding)
    )


def _layers(layers: Params, stacks: list[Any]) -> dict[str, Any]:
    key = tuple(map(id, stacks))
    if (found := _views.get(key)) is not None:
        return found
    with _viewing:
        if key in _views:
            return _views[key]
        made = {
            f"layer_{index}": jax.tree.map(lambda stack, index=index: _view(stack, index), layers)
            for index in range(len(stacks[0]))
        }
        if all(isinstance(stack, jax.Array) for stack in stacks):
            _views[key] = made
            for stack in stacks:
                weakref.finalize(stack, _views.pop, key, None).atexit = False
        return made


def _view(stack: Any, index: int) -> jax.Array:
    """A layer's part of a stack. A NumPy array whose address is a multiple of 64 bytes is not copied."""
    sharding = stack.sharding if isinstance(stack, jax.Array) and stack.committed else None
    return jax.device_put(jax.device_get(stack)[index], sharding)
