"""An independent reader of exports: the forward pass of every family in NumPy, float64, directly from the files.

It shares nothing with the tables that write and read weights and settings, nor with `jaxemb.models`, so it shows their
common errors. It embeds one text at a time, without padding, and is for verification only.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from jaxemb.huggingface.files.tensors import open_tensors, read_json, read_object

Vectors = Float64[np.ndarray, "S H"]
Get = Callable[[str], np.ndarray]


def embed(folder: Path, texts: Sequence[Sequence[int]], prompt_tokens: int) -> Float[np.ndarray, "N E"]:
    """Embeds texts by a sentence-transformers folder in the old schema.

    Args:
      folder: the output of `export`.
      texts: token ids, special tokens included; all texts go through one layer at a time and must fit into memory.
      prompt_tokens: number of first tokens of each text that pooling leaves out if `include_prompt` is false.
    """
    config, get = read_object(folder / "config.json"), _reader(folder)
    vectors = _ENCODERS[config["model_type"]](config, get, [np.asarray(text) for text in texts])
    rows: Any = None
    for module in read_json(folder / "modules.json"):
        kind, module_folder = module["type"].rsplit(".", 1)[-1], folder / module["path"]
        if kind == "Pooling":
            settings = read_object(module_folder / "config.json")
            skip = 0 if settings.get("include_prompt", True) else prompt_tokens
            rows = np.stack([_pool(one, settings, skip) for one in vectors])
        elif kind == "LayerNorm":
            get = _reader(module_folder)
            rows = _layer_norm(rows, get("norm.weight"), get("norm.bias"), 1e-5)
        elif kind == "Dense":
            settings, get = read_object(module_folder / "config.json"), _reader(module_folder)
            rows = rows @ get("linear.weight").T + (get("linear.bias") if settings["bias"] else 0.0)
            rows = _ACTIVATIONS[settings["activation_function"].rsplit(".", 1)[-1].lower()](rows)
        elif kind == "Normalize":
            rows = rows / np.sqrt(np.maximum((rows**2).sum(1, keepdims=True), 1e-12))
    return rows[:, : read_object(folder / "config_sentence_transformers.json").get("truncate_dim")]


def _reader(folder: Path) -> Get:
    readers = open_tensors(folder)
    return lambda name: readers[name]().astype(np.float64)


# ----------------------------------------------------------------------------------------------------------- formulas


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gelu": lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2,
    "gelu_new": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "identity": lambda x: x,
}


def _layer_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray | float, eps: float) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * scale + bias


def _rms_norm(x: np.ndarray, scale: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * scale


def _attend(query: np.ndarray, keys: np.ndarray, values: np.ndarray, bias: Any = 0.0) -> np.ndarray:
    """Splits into heads, [N, S, D]; there are fewer key and value heads if several query heads share one."""
    share = len(query) // len(keys)
    keys, values = np.repeat(keys, share, axis=0), np.repeat(values, share, axis=0)
    scores = query @ keys.transpose(0, 2, 1) / math.sqrt(query.shape[-1]) + bias
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    context = weights / weights.sum(-1, keepdims=True) @ values
    return context.transpose(1, 0, 2).reshape(query.shape[1], -1)


def _heads(x: np.ndarray, size: int) -> np.ndarray:
    return x.reshape(len(x), -1, size).transpose(1, 0, 2)


def _turn(x: np.ndarray, theta: float) -> np.ndarray:
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[1])[:, None] / theta ** (np.arange(half) / half)[None]
    first, second = x[..., :half], x[..., half:]
    return np.concatenate(
        [first * np.cos(angles) - second * np.sin(angles), second * np.cos(angles) + first * np.sin(angles)], -1
    )


def _pool(x: Vectors, settings: dict[str, Any], skip: int) -> np.ndarray:
    skip = min(skip, len(x) - 1)  # a text that was cut within its prompt keeps its last token
    positions, x = np.arange(len(x))[skip:, None] + 1.0, x[skip:]
    found = {
        "cls_token": x[0],
        "max_tokens": x.max(0),
        "mean_tokens": x.mean(0),
        "mean_sqrt_len_tokens": x.sum(0) / math.sqrt(len(x)),
        "weightedmean_tokens": (x * positions).sum(0) / positions.sum(),
        "lasttoken": x[-1],
    }
    return np.concatenate([row for name, row in found.items() if settings.get(f"pooling_mode_{name}")])


# ----------------------------------------------------------------------------------------------------------- families

_BERT = {
    "layer": "encoder.layer.{}.", "query": "attention.self.query", "key": "attention.self.key",
    "value": "attention.self.value", "output": "attention.output.dense", "norm": "attention.output.LayerNorm",
    "up": "intermediate.dense", "down": "output.dense", "last_norm": "output.LayerNorm",
}  # fmt: skip
_ROBERTA = ("roberta", "xlm-roberta", "camembert")
_MPNET = _BERT | {
    "query": "attention.attn.q", "key": "attention.attn.k", "value": "attention.attn.v", "output": "attention.attn.o",
    "norm": "attention.LayerNorm",
}  # fmt: skip
_DISTILBERT = {
    "layer": "transformer.layer.{}.", "query": "attention.q_lin", "key": "attention.k_lin",
    "value": "attention.v_lin", "output": "attention.out_lin", "norm": "sa_layer_norm",
    "up": "ffn.lin1", "down": "ffn.lin2", "last_norm": "output_layer_norm",
}  # fmt: skip


def _post_norm(config: dict[str, Any], get: Get, texts: list[np.ndarray]) -> list[Vectors]:
    kind = config["model_type"]
    distil = kind == "distilbert"
    names = _DISTILBERT if distil else _MPNET if kind == "mpnet" else _BERT
    heads = config["n_heads" if distil else "num_attention_heads"]
    layers = config["n_layers" if distil else "num_hidden_layers"]
    activation = _ACTIVATIONS[config["activation" if distil else "hidden_act"]]
    eps = 1e-12 if distil else config["layer_norm_eps"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return _layer_norm(x, get(f"{name}.weight"), get(f"{name}.bias"), eps)

    words, table = get("embeddings.word_embeddings.weight"), get("embeddings.position_embeddings.weight")
    states = []
    for text in texts:
        positions = np.arange(len(text))
        if kind in (*_ROBERTA, "mpnet"):
            pad = config["pad_token_id"]
            positions = np.where(text == pad, pad, np.cumsum(text != pad) + pad)
        x = words[text] + table[positions]
        if kind in ("bert", *_ROBERTA):
            x = x + get("embeddings.token_type_embeddings.weight")[0]
        states.append(norm(x, "embeddings.LayerNorm"))
    biases: list[Any] = [0.0] * len(texts)
    if kind == "mpnet":
        table = get("encoder.relative_attention_bias.weight")
        biases = [table[_buckets(len(text))].transpose(2, 0, 1) for text in texts]
    for number in range(layers):
        prefix = names["layer"].format(number)
        weights = {
            name: (get(f"{prefix}{theirs}.weight"), get(f"{prefix}{theirs}.bias"))
            for name, theirs in names.items()
            if name != "layer"
        }
        for index, x in enumerate(states):
            size = x.shape[1] // heads
            query, keys, values = (
                _heads(x @ weights[name][0].T + weights[name][1], size) for name in ("query", "key", "value")
            )
            attended = _attend(query, keys, values, biases[index]) @ weights["output"][0].T + weights["output"][1]
            x = _layer_norm(x + attended, *weights["norm"], eps)
            hidden = activation(x @ weights["up"][0].T + weights["up"][1])
            states[index] = _layer_norm(
                x + hidden @ weights["down"][0].T + weights["down"][1], *weights["last_norm"], eps
            )
    return states


def _buckets(length: int) -> np.ndarray:
    """MPNet's bucket of each distance, computed bucket by bucket, not with one formula."""

    def bucket(distance: int) -> int:
        far = abs(distance)
        if far >= 8:
            far = min(15, 8 + int(math.log(far / 8) / math.log(16) * 8 + 1e-9))
        return far + 16 * (distance > 0)

    return np.array([[bucket(there - here) for there in range(length)] for here in range(length)])


def _modernbert(config: dict[str, Any], get: Get, texts: list[np.ndarray]) -> list[Vectors]:
    eps, width = config["norm_eps"], config["hidden_size"]
    activation, size = _ACTIVATIONS[config["hidden_activation"]], width // config["num_attention_heads"]
    words, scale = get("embeddings.tok_embeddings.weight"), get("embeddings.norm.weight")
    states = [_layer_norm(words[text], scale, 0.0, eps) for text in texts]
    for number in range(config["num_hidden_layers"]):
        name = f"layers.{number}."
        fused, output = get(f"{name}attn.Wqkv.weight"), get(f"{name}attn.Wo.weight")
        up, down, norm = get(f"{name}mlp.Wi.weight"), get(f"{name}mlp.Wo.weight"), get(f"{name}mlp_norm.weight")
        first = get(f"{name}attn_norm.weight") if number else None
        local = number % config["global_attn_every_n_layers"] != 0
        theta = config["local_rope_theta" if local else "global_rope_theta"]
        for index, x in enumerate(states):
            normed = x if first is None else _layer_norm(x, first, 0.0, eps)
            query, keys, values = (_heads(part, size) for part in np.split(normed @ fused.T, 3, axis=1))
            positions = np.arange(len(x))
            near = np.abs(positions[:, None] - positions[None]) <= config["local_attention"] // 2
            hidden = np.where(near, 0.0, -1e30) if local else 0.0
            x = x + _attend(_turn(query, theta), _turn(keys, theta), values, hidden) @ output.T
            value, gate = np.split(_layer_norm(x, norm, 0.0, eps) @ up.T, 2, axis=1)
            states[index] = x + (activation(value) * gate) @ down.T
    return [_layer_norm(x, get("final_norm.weight"), 0.0, eps) for x in states]


def _qwen3(config: dict[str, Any], get: Get, texts: list[np.ndarray]) -> list[Vectors]:
    eps, size, theta = config["rms_norm_eps"], config["head_dim"], config["rope_theta"]
    activation, words = _ACTIVATIONS[config["hidden_act"]], get("embed_tokens.weight")
    states = [words[text] for text in texts]
    for number in range(config["num_hidden_layers"]):
        name = f"layers.{number}."
        first, norm = get(f"{name}input_layernorm.weight"), get(f"{name}post_attention_layernorm.weight")
        query, keys, values, output = (get(f"{name}self_attn.{part}_proj.weight").T for part in "qkvo")
        of_query, of_keys = (get(f"{name}self_attn.{part}_norm.weight") for part in "qk")
        gate, up, down = (get(f"{name}mlp.{part}_proj.weight").T for part in ("gate", "up", "down"))
        for index, x in enumerate(states):
            normed = _rms_norm(x, first, eps)
            turned_query = _turn(_rms_norm(_heads(normed @ query, size), of_query, eps), theta)
            turned_keys = _turn(_rms_norm(_heads(normed @ keys, size), of_keys, eps), theta)
            later = np.triu(np.full((len(x), len(x)), -1e30), 1) if config.get("is_causal", True) else 0.0
            x = x + _attend(turned_query, turned_keys, _heads(normed @ values, size), later) @ output
            normed = _rms_norm(x, norm, eps)
            states[index] = x + (activation(normed @ gate) * (normed @ up)) @ down
    return [_rms_norm(x, get("norm.weight"), eps) for x in states]


_ENCODERS: dict[str, Callable[[dict[str, Any], Get, list[np.ndarray]], list[Vectors]]] = {
    **dict.fromkeys(("bert", *_ROBERTA, "distilbert", "mpnet"), _post_norm),
    "modernbert": _modernbert,
    "qwen3": _qwen3,
}
