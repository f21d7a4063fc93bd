"""Encoders' tensors under their Hugging Face names and in our tree: one table per family, used in both directions."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxemb.config import ModelConfig
from jaxemb.config.encoder import Family
from jaxemb.errors import UserError
from jaxemb.models import Params, init

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A tensor under both names."""

    name: str
    """Hugging Face's name; `{layer}` stands for the number of the layer."""
    path: tuple[str, ...]
    """Its path in our encoder's tree, where layers are stacked along the first axis."""
    transposed: bool = False
    """Whether one is the transpose of the other: torch stores kernels as [out, in], we as [in, out]."""
    part: tuple[int, int] = (0, 1)
    """If ours is a part of theirs along its first axis: (index of the part, number of parts)."""
    first_layer: int = 0
    """The first layer that has it; before that, ours is all ones and has no effect."""

    @property
    def stacked(self) -> bool:
        """Whether every layer has one."""
        return "{layer}" in self.name

    def names(self, layers: int) -> list[str]:
        """The name, or one name for each layer."""
        return [self.name.format(layer=layer) for layer in range(self.first_layer, layers if self.stacked else 1)]


def _dense(name: str, *path: str) -> tuple[Entry, Entry]:
    return Entry(f"{name}.weight", (*path, "kernel"), transposed=True), Entry(f"{name}.bias", (*path, "bias"))


def _kernel(name: str, *path: str, part: tuple[int, int] = (0, 1)) -> Entry:
    return Entry(f"{name}.weight", (*path, "kernel"), transposed=True, part=part)


def _norm(name: str, *path: str) -> tuple[Entry, Entry]:
    return Entry(f"{name}.weight", (*path, "scale")), Entry(f"{name}.bias", (*path, "bias"))


def _scale(name: str, *path: str, first_layer: int = 0) -> Entry:
    return Entry(f"{name}.weight", (*path, "scale"), first_layer=first_layer)


def _table(name: str, ours: str) -> Entry:
    return Entry(f"{name}.weight", (ours, "embedding"))


_EMBEDDINGS = (
    _table("embeddings.word_embeddings", "word_embeddings"),
    _table("embeddings.position_embeddings", "position_embeddings"),
    *_norm("embeddings.LayerNorm", "embeddings_norm"),
)
_FEED_FORWARD = (
    *_dense("encoder.layer.{layer}.intermediate.dense", "layers", "intermediate"),
    *_dense("encoder.layer.{layer}.output.dense", "layers", "output"),
    *_norm("encoder.layer.{layer}.output.LayerNorm", "layers", "output_norm"),
)
BERT: tuple[Entry, ...] = (
    *_EMBEDDINGS,
    _table("embeddings.token_type_embeddings", "token_type_embeddings"),
    *_dense("encoder.layer.{layer}.attention.self.query", "layers", "attention", "query"),
    *_dense("encoder.layer.{layer}.attention.self.key", "layers", "attention", "key"),
    *_dense("encoder.layer.{layer}.attention.self.value", "layers", "attention", "value"),
    *_dense("encoder.layer.{layer}.attention.output.dense", "layers", "attention", "output"),
    *_norm("encoder.layer.{layer}.attention.output.LayerNorm", "layers", "attention_norm"),
    *_FEED_FORWARD,
)
DISTILBERT: tuple[Entry, ...] = (
    *_EMBEDDINGS,
    *_dense("transformer.layer.{layer}.attention.q_lin", "layers", "attention", "query"),
    *_dense("transformer.layer.{layer}.attention.k_lin", "layers", "attention", "key"),
    *_dense("transformer.layer.{layer}.attention.v_lin", "layers", "attention", "value"),
    *_dense("transformer.layer.{layer}.attention.out_lin", "layers", "attention", "output"),
    *_norm("transformer.layer.{layer}.sa_layer_norm", "layers", "attention_norm"),
    *_dense("transformer.layer.{layer}.ffn.lin1", "layers", "intermediate"),
    *_dense("transformer.layer.{layer}.ffn.lin2", "layers", "output"),
    *_norm("transformer.layer.{layer}.output_layer_norm", "layers", "output_norm"),
)
MPNET: tuple[Entry, ...] = (
    *_EMBEDDINGS,
    _table("encoder.relative_attention_bias", "relative_bias"),
    *_dense("encoder.layer.{layer}.attention.attn.q", "layers", "attention", "query"),
    *_dense("encoder.layer.{layer}.attention.attn.k", "layers", "attention", "key"),
    *_dense("encoder.layer.{layer}.attention.attn.v", "layers", "attention", "value"),
    *_dense("encoder.layer.{layer}.attention.attn.o", "layers", "attention", "output"),
    *_norm("encoder.layer.{layer}.attention.LayerNorm", "layers", "attention_norm"),
    *_FEED_FORWARD,
)
MODERNBERT: tuple[Entry, ...] = (
    _table("embeddings.tok_embeddings", "word_embeddings"),
    _scale("embeddings.norm", "embeddings_norm"),
    _scale("layers.{layer}.attn_norm", "layers", "attention_norm", first_layer=1),
    *(
        _kernel("layers.{layer}.attn.Wqkv", "layers", "attention", name, part=(number, 3))
        for number, name in enumerate(("query", "key", "value"))
    ),
    _kernel("layers.{layer}.attn.Wo", "layers", "attention", "output"),
    _scale("layers.{layer}.mlp_norm", "layers", "output_norm"),
    _kernel("layers.{layer}.mlp.Wi", "layers", "intermediate", part=(0, 2)),
    _kernel("layers.{layer}.mlp.Wi", "layers", "gate", part=(1, 2)),
    _kernel("layers.{layer}.mlp.Wo", "layers", "output"),
    _scale("final_norm", "final_norm"),
)
QWEN3: tuple[Entry, ...] = (
    _table("embed_tokens", "word_embeddings"),
    _scale("layers.{layer}.input_layernorm", "layers", "attention_norm"),
    _kernel("layers.{layer}.self_attn.q_proj", "layers", "attention", "query"),
    _kernel("layers.{layer}.self_attn.k_proj", "layers", "attention", "key"),
    _kernel("layers.{layer}.self_attn.v_proj", "layers", "attention", "value"),
    _kernel("layers.{layer}.self_attn.o_proj", "layers", "attention", "output"),
    _scale("layers.{layer}.self_attn.q_norm", "layers", "attention", "query_norm"),
    _scale("layers.{layer}.self_attn.k_norm", "layers", "attention", "key_norm"),
    _scale("layers.{layer}.post_attention_layernorm", "layers", "output_norm"),
    _kernel("layers.{layer}.mlp.gate_proj", "layers", "gate"),
    _kernel("layers.{layer}.mlp.up_proj", "layers", "intermediate"),
    _kernel("layers.{layer}.mlp.down_proj", "layers", "output"),
    _scale("norm", "final_norm"),
)


@dataclass(frozen=True)
class Names:
    """The names of a family's tensors."""

    table: tuple[Entry, ...]
    prefix: str
    """The prefix of these names in task models."""
    leftovers: str
    """Regular expression of the heads that an embedder does not use."""
    pooler: bool = True
    """Whether the family's model has BERT's pooler."""


_ROBERTA = Names(BERT, "roberta.", r"pooler\.dense\.(weight|bias)|lm_head\..*")
FAMILIES: dict[str, Names] = {
    "bert": Names(BERT, "bert.", r"pooler\.dense\.(weight|bias)|cls\..*"),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": Names(DISTILBERT, "distilbert.", r"vocab_(transform|layer_norm|projector)\..*", pooler=False),
    "mpnet": Names(MPNET, "mpnet.", r"pooler\.dense\.(weight|bias)|lm_head\..*"),
    "modernbert": Names(MODERNBERT, "model.", r"(head|decoder)\..*", pooler=False),
    "qwen3": Names(QWEN3, "model.", r"lm_head\.weight", pooler=False),
}
BUFFERS = frozenset({"embeddings.position_ids"})  # 0, 1, 2, ...: saved by old versions of transformers


def canonical(name: str, prefix: str) -> str:
    """The current name, without the prefix of task models and without TensorFlow's names gamma and beta."""
    name = name.removeprefix(prefix)
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name


def _leaf(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@lru_cache(maxsize=16)
def _shapes(config: Family) -> Params:
    """Our encoder's tree with shapes instead of arrays."""
    model = ModelConfig(encoder=config, dense=None)
    return jax.eval_shape(partial(init, model), jax.random.key(0))["encoder"]


def _list(names: list[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "none"


def encoder_from_tensors(
    readers: Mapping[str, Callable[[], np.ndarray]], config: Family, source: Path, allow: str | None = None
) -> dict[str, Any]:
    """Builds our encoder's tree, strictly: every tensor must be there, fit, and be used.

    Only the pooler and the pre-training heads are ignored, with a line in the log, and tensors that `allow` matches.

    Args:
      readers: for each name in the checkpoint, a function that reads the tensor.
      config: the architecture, `vocab_size` set.
      source: the folder, for messages.
      allow: a regular expression: tensors whose whole name matches may be unused, or missing; missing ones are
        initialized as in a new model.

    Returns: float32 NumPy arrays; kernels are [in, out], layers are stacked.
    Raises: UserError with the missing and the unexpected names, or the first tensor of a wrong shape.
    """
    names = FAMILIES[config.model_type]
    found: dict[str, Callable[[], np.ndarray]] = {}
    for name, read in readers.items():
        own = canonical(name, names.prefix)
        if own in found:
            raise UserError(f"{source}: two tensors are called {own} (one of them {name})")
        found[own] = read
    if config.num_hidden_layers > max(len(found), 1):
        raise UserError(f"{source}: config.json says {config.num_hidden_layers} layers; there are {len(found)} tensors")
    wanted = {name for entry in names.table for name in entry.names(config.num_hidden_layers)}
    missing = sorted(wanted - found.keys())
    others = sorted(found.keys() - wanted - BUFFERS)
    refused = [[name for name in missing if not _matches(allow, name)]]
    refused += [[name for name in others if not is_left_over(name, names) and not _matches(allow, name)]]
    if any(refused):
        hint = "" if allow is None else f"\n  allowed by model.init_allow: {allow}"
        raise UserError(
            f"{source}: the tensors do not match the {config.model_type} encoder that config.json describes.\n"
            f"  missing ({len(refused[0])}): {_list(refused[0])}\n"
            f"  unexpected ({len(refused[1])}): {_list(refused[1])}{hint}"
        )
    if others:
        logger.info("%s: not used by the embedder: %s", source, _list(others))
    if missing:
        logger.warning("%s: missing, so initialized as in a new model: %s", source, _list(missing))
        drawn = encoder_to_tensors(_draw(config), config)
        found |= {name: partial(drawn.__getitem__, name) for name in missing}

    shapes = _shapes(config)
    params: dict[str, Any] = {}
    for entry in names.table:
        leaf = _leaf(shapes, entry.path)
        number, of = entry.part
        shape = leaf.shape[1 if entry.stacked else 0 :]
        expected = shape[::-1] if entry.transposed else shape
        expected = (expected[0] * of, *expected[1:])
        arrays = [np.ones(shape, np.float32) for _ in range(entry.first_layer)]
        for name in entry.names(config.num_hidden_layers):
            array = found[name]()
            if array.shape != expected:
                raise UserError(
                    f"{source}: {name} has the shape {list(array.shape)}; config.json asks for {list(expected)}"
                )
            array = np.split(array, of)[number]
            arrays.append(array.T if entry.transposed else array)
        node = params
        for key in entry.path[:-1]:
            node = node.setdefault(key, {})
        node[entry.path[-1]] = np.stack(arrays) if entry.stacked else np.ascontiguousarray(arrays[0])
    return params


def is_left_over(name: str, names: Names) -> bool:
    """Whether a tensor (by its canonical name) belongs to a head that an embedder does not use."""
    return _matches(names.leftovers, name)


def _matches(pattern: str | None, name: str) -> bool:
    return pattern is not None and re.fullmatch(pattern, name) is not None


def _draw(config: Family) -> Params:
    return jax.device_get(init(ModelConfig(encoder=config, dense=None), jax.random.key(0)))["encoder"]


def encoder_to_tensors(params: Mapping[str, Any], config: Family) -> dict[str, np.ndarray]:
    """The inverse of `encoder_from_tensors`: float32 arrays under Hugging Face's names, without padding rows.

    Raises: ValueError if an array does not have the shape that `config` requires.
    """
    shapes = _shapes(config)
    parts: dict[str, list[np.ndarray]] = {}
    for entry in FAMILIES[config.model_type].table:
        array = np.asarray(_leaf(params, entry.path), np.float32)
        if entry.path[0] == "word_embeddings":
            array = array[: config.vocab_size]
        if array.shape != _leaf(shapes, entry.path).shape:
            raise ValueError(f"{'/'.join(entry.path)}: {array.shape} is not {_leaf(shapes, entry.path).shape}")
        arrays = array[entry.first_layer :] if entry.stacked else array[None]
        for name, one in zip(entry.names(config.num_hidden_layers), arrays, strict=True):
            parts.setdefault(name, []).append(one.T if entry.transposed else one)
    return {name: np.ascontiguousarray(np.concatenate(arrays)) for name, arrays in parts.items()}
