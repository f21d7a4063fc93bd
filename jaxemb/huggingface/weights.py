"""BERT's tensors under their Hugging Face names and in our tree: one table, read in both directions."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxemb.config import EncoderConfig, ModelConfig
from jaxemb.errors import UserError
from jaxemb.models import Params, init

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One tensor on both sides."""

    name: str
    """Hugging Face's name; `{layer}` stands for the number of the layer."""
    path: tuple[str, ...]
    """Where it lies in our encoder's tree; layers are stacked along the first axis there."""
    transposed: bool = False
    """Whether the two are each other's transpose: torch keeps kernels as [out, in], we as [in, out]."""


def _dense(name: str, *path: str) -> tuple[Entry, Entry]:
    return Entry(f"{name}.weight", (*path, "kernel"), transposed=True), Entry(f"{name}.bias", (*path, "bias"))


def _norm(name: str, *path: str) -> tuple[Entry, Entry]:
    return Entry(f"{name}.weight", (*path, "scale")), Entry(f"{name}.bias", (*path, "bias"))


BERT: tuple[Entry, ...] = (
    Entry("embeddings.word_embeddings.weight", ("word_embeddings", "embedding")),
    Entry("embeddings.position_embeddings.weight", ("position_embeddings", "embedding")),
    Entry("embeddings.token_type_embeddings.weight", ("token_type_embeddings", "embedding")),
    *_norm("embeddings.LayerNorm", "embeddings_norm"),
    *_dense("encoder.layer.{layer}.attention.self.query", "layers", "attention", "query"),
    *_dense("encoder.layer.{layer}.attention.self.key", "layers", "attention", "key"),
    *_dense("encoder.layer.{layer}.attention.self.value", "layers", "attention", "value"),
    *_dense("encoder.layer.{layer}.attention.output.dense", "layers", "attention", "output"),
    *_norm("encoder.layer.{layer}.attention.output.LayerNorm", "layers", "attention_norm"),
    *_dense("encoder.layer.{layer}.intermediate.dense", "layers", "intermediate"),
    *_dense("encoder.layer.{layer}.output.dense", "layers", "output"),
    *_norm("encoder.layer.{layer}.output.LayerNorm", "layers", "output_norm"),
)
BUFFERS = frozenset({"embeddings.position_ids"})  # 0, 1, 2, ...: saved by old versions of transformers


def _names(entry: Entry, layers: int) -> list[str]:
    """The entry's names; one, or one a layer."""
    if "{layer}" not in entry.name:
        return [entry.name]
    return [entry.name.format(layer=layer) for layer in range(layers)]


def _canonical(name: str) -> str:
    """Today's name without the model's prefix: `bert.` of task models, gamma and beta of TensorFlow's checkpoints."""
    name = name.removeprefix("bert.")
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name


def _is_leftover(name: str) -> bool:
    """Heads that an embedder has no use for: BERT's pooler, and its pre-training heads."""
    return name in ("pooler.dense.weight", "pooler.dense.bias") or name.startswith("cls.")


def _leaf(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@lru_cache(maxsize=16)
def _shapes(config: EncoderConfig) -> Params:
    """Our encoder's tree with shapes in place of arrays."""
    model = ModelConfig(encoder=config, dense=None)
    return jax.eval_shape(partial(init, model), jax.random.key(0))["encoder"]


def _list(names: list[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "none"


def encoder_from_tensors(
    readers: Mapping[str, Callable[[], np.ndarray]], config: EncoderConfig, source: Path
) -> dict[str, Any]:
    """Builds our encoder's tree, strictly: every tensor must be there, fit, and be used.

    The pooler and the pre-training heads (`cls.*`) are left out with a line in the log; nothing else is.

    Args:
      readers: for each name in the checkpoint, a function that reads the tensor.
      config: the architecture, `vocab_size` set.
      source: the folder, for messages.

    Returns: float32 NumPy arrays; kernels are [in, out], layers are stacked.
    Raises: UserError with the missing and the unexpected names, or the first tensor of a wrong shape.
    """
    found: dict[str, Callable[[], np.ndarray]] = {}
    for name, read in readers.items():
        if _canonical(name) in found:
            raise UserError(f"{source}: two tensors are called {_canonical(name)} (one of them {name})")
        found[_canonical(name)] = read
    if config.num_hidden_layers > len(found):
        raise UserError(f"{source}: config.json says {config.num_hidden_layers} layers; there are {len(found)} tensors")
    wanted = {name for entry in BERT for name in _names(entry, config.num_hidden_layers)}
    missing = sorted(wanted - found.keys())
    others = sorted(found.keys() - wanted - BUFFERS)
    unexpected = [name for name in others if not _is_leftover(name)]
    if missing or unexpected:
        raise UserError(
            f"{source}: the tensors are not those of the BERT that config.json describes.\n"
            f"  missing ({len(missing)}): {_list(missing)}\n  unexpected ({len(unexpected)}): {_list(unexpected)}"
        )
    if others:
        logger.info("%s: not used by the embedder: %s", source, _list(others))

    shapes = _shapes(config)
    params: dict[str, Any] = {}
    for entry in BERT:
        names = _names(entry, config.num_hidden_layers)
        stacked = "{layer}" in entry.name
        shape = _leaf(shapes, entry.path).shape[1 if stacked else 0 :]
        expected = shape[::-1] if entry.transposed else shape
        arrays = []
        for name in names:
            array = found[name]()
            if array.shape != expected:
                raise UserError(
                    f"{source}: {name} has the shape {list(array.shape)}; config.json asks for {list(expected)}"
                )
            arrays.append(array.T if entry.transposed else array)
        node = params
        for key in entry.path[:-1]:
            node = node.setdefault(key, {})
        node[entry.path[-1]] = np.stack(arrays) if stacked else np.ascontiguousarray(arrays[0])
    return params


def encoder_to_tensors(params: Mapping[str, Any], config: EncoderConfig) -> dict[str, np.ndarray]:
    """The inverse of `encoder_from_tensors`: float32 arrays under Hugging Face's names.

    Raises: ValueError if an array has not the shape that `config` asks for.
    """
    shapes = _shapes(config)
    tensors = {}
    for entry in BERT:
        array = np.asarray(_leaf(params, entry.path), np.float32)
        if array.shape != _leaf(shapes, entry.path).shape:
            raise ValueError(f"{'/'.join(entry.path)}: {array.shape} is not {_leaf(shapes, entry.path).shape}")
        arrays = array if "{layer}" in entry.name else array[None]
        for name, one in zip(_names(entry, config.num_hidden_layers), arrays, strict=True):
            tensors[name] = np.ascontiguousarray(one.T if entry.transposed else one)
    return tensors
