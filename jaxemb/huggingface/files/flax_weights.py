"""`flax_model.msgpack`, which transformers wrote before version 5: arrays under Flax's names. Nothing is unpickled."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.serialization import msgpack_restore

from jaxemb.errors import UserError

FLAX = "flax_model.msgpack"
NAMES = {"kernel": "weight", "embedding": "weight", "scale": "weight"}
"""Flax's last name -> torch's."""


def read_flax(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """For each array in the file, a function that returns it as float32, under torch's name and in its orientation.

    `encoder/layer/0/output/dense/kernel` [in, out] becomes `encoder.layer.0.output.dense.weight` [out, in], a norm's
    `scale` and a table's `embedding` become `weight`. The whole file is read at once, in its own type.

    Raises: UserError if it is damaged or has anything but floating arrays.
    """
    try:
        tree = msgpack_restore(path.read_bytes())
    except Exception as error:  # of msgpack, NumPy or Flax, depending on the damage
        raise UserError(f"{path} is damaged or not a Flax file ({error}): fetch it again") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} is damaged or not a Flax file (it holds no object): fetch it again")
    readers: dict[str, Callable[[], np.ndarray]] = {}
    for keys, array in _leaves(tree, ()):
        where = "/".join(keys)
        if not isinstance(array, np.ndarray) or not jnp.issubdtype(array.dtype, jnp.floating):
            kind = getattr(array, "dtype", type(array).__name__)
            raise UserError(f"{path}: {where} is not a floating array but {kind}")
        kernel = keys[-1] == "kernel"
        if kernel and array.ndim != 2:
            raise UserError(f"{path}: {where} has {array.ndim} dimensions, not 2")
        name = ".".join((*keys[:-1], NAMES.get(keys[-1], keys[-1])))
        if name in readers:
            raise UserError(f"{path}: two arrays are called {name} (one of them {where})")
        readers[name] = partial(_read, array, kernel)
    return readers


def _read(array: np.ndarray, transposed: bool) -> np.ndarray:
    array = array.astype(np.float32)
    return np.ascontiguousarray(array.T) if transposed else array


def _leaves(tree: dict[Any, Any], keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*keys, str(key)))
        else:
            yield (*keys, str(key)), value
