"""Converts `config.json` of a checkpoint to and from our settings, family by family."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jaxemb.config import ModernBertConfig, Qwen3Config
from jaxemb.config.encoder import Family
from jaxemb.errors import UserError
from jaxemb.huggingface.files.keys import CONFIG_HARMLESS, check_keys, check_no_code
from jaxemb.huggingface.files.schemas import PLAIN, SCHEMAS, Schema
from jaxemb.huggingface.files.tensors import read_object

SAME_ACTIVATION = {
    "gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new", "gelu_accurate": "gelu_new", "gelu_python": "gelu",
    "swish": "silu",
}  # fmt: skip
"""Other names of the same activation."""


def read_encoder_config(path: Path) -> Family:
    """Reads the architecture from `config.json`.

    Raises: UserError if the file is missing or broken, the model is not an encoder that we reproduce exactly, or a key
      may change embeddings in an unknown way.
    """
    raw = read_object(path)
    kind = raw.get("model_type")
    if not isinstance(kind, str) or kind not in SCHEMAS:
        raise UserError(f"{path}: model_type {kind!r} is not supported; supported: {', '.join(map(repr, SCHEMAS))}")
    schema = SCHEMAS[kind]
    _check(raw, schema, path)
    found = _merge_aliases(raw, schema, path)
    if schema.config is ModernBertConfig:
        _check_window(raw, path)
        found |= _every(raw)
    if schema.rope is not None:
        found |= schema.rope[1](raw, path)
    values: dict[str, Any] = dict(schema.defaults)
    for name in schema.config.model_fields.keys() - schema.fixed.keys():
        key = schema.theirs(name)
        if found.get(key) is not None:
            values[name] = found[key]
        elif key in found and key not in schema.nullable:
            raise UserError(f"{path}: {key} is null: give a value, or leave the key out for transformers' default")
    if isinstance(activation := values.get("hidden_act"), str):
        values["hidden_act"] = SAME_ACTIVATION.get(activation, activation)
    if kind == "qwen3" and raw.get("num_key_value_heads", 0) is None:
        values["num_key_value_heads"] = values["num_attention_heads"]
    if kind == "modernbert" and values["embedding_dropout"] == values.get("hidden_dropout_prob", 0.0):
        values["embedding_dropout"] = None
    for name, known in schema.config.model_fields.items():  # JSON may write 0.0 as 0
        if known.annotation is float and type(values.get(name)) is int and abs(values[name]) < 2**53:
            values[name] = float(values[name])
    try:
        config = schema.config.model_validate(values | schema.fixed)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        key = schema.names.get(key, key) or "config"
        raise UserError(f"{path}: {key}: {first['msg']} (found {first['input']!r})") from None
    _check_layer_types(raw, config, path)
    return config


def _check(raw: dict[str, Any], schema: Schema, path: Path) -> None:
    """Refuses an unknown key, and a value that changes embeddings in a way that we do not support."""
    read = {"model_type", "auto_map", *schema.aliases, *(schema.rope[0] if schema.rope is not None else ())}
    read |= {schema.theirs(name) for name in schema.config.model_fields.keys() - schema.fixed.keys()}
    plain = PLAIN | {key: (value,) for key, value in schema.required.items()} | schema.plain
    harmless = "|".join((CONFIG_HARMLESS.pattern, *map(re.escape, schema.harmless)))
    check_no_code(path, raw, "AutoConfig", "AutoModel")
    check_keys(path, raw, read, plain=plain, harmless=re.compile(harmless))


def _merge_aliases(raw: dict[str, Any], schema: Schema, path: Path) -> dict[str, Any]:
    """The same settings, each under one name."""
    merged = {key: value for key, value in raw.items() if key not in schema.aliases}
    for alias, name in schema.aliases.items():
        if raw.get(alias) is not None:
            if name in raw and raw[name] != raw[alias]:
                raise UserError(
                    f"{path}: {alias} is {raw[alias]!r} but {name}, its other name, {raw[name]!r}: delete one"
                )
            merged[name] = raw[alias]
    return merged


def _every(raw: dict[str, Any]) -> dict[str, Any]:
    """The period of layers with global attention, from the list of layers that transformers 5 writes."""
    types = raw.get("layer_types")
    if not isinstance(types, list) or raw.get("global_attn_every_n_layers") is not None:
        return {}
    after = [layer for layer, kind in enumerate(types) if kind == "full_attention" and layer > 0]
    return {"global_attn_every_n_layers": after[0] if after else max(len(types), 1)}


def _check_window(raw: dict[str, Any], path: Path) -> None:
    """Refuses ModernBERT's `sliding_window` unless it is half of `local_attention`, as transformers 5 takes it."""
    local = raw.get("local_attention", ModernBertConfig.model_fields["local_attention"].default)
    window = raw.get("sliding_window")
    if window is not None and (type(window) is not int or type(local) is not int or window != local // 2):
        raise UserError(
            f"{path}: sliding_window {window!r} is not half of local_attention ({local!r}): versions of transformers "
            "differ in which one they use; delete sliding_window"
        )


def _check_layer_types(raw: dict[str, Any], config: Family, path: Path) -> None:
    types = raw.get("layer_types")
    if types is None:
        return
    every = config.global_attn_every_n_layers if isinstance(config, ModernBertConfig) else 1
    wanted = ["sliding_attention" if layer % every else "full_attention" for layer in range(config.num_hidden_layers)]
    if types != wanted:
        raise UserError(f"{path}: layer_types {types} are not supported: full attention must recur every n layers")


def encoder_config_json(config: Family, dtype: str = "float32") -> dict[str, Any]:
    """The content of `config.json`, with all sizes."""
    schema = SCHEMAS[config.model_type]
    values = {schema.theirs(name): value for name, value in config.model_dump().items() if name not in schema.fixed}
    if isinstance(config, ModernBertConfig):
        if config.embedding_dropout is None:
            values["embedding_dropout"] = config.hidden_dropout_prob
        # Without them, readers would use the ids of ModernBERT's own vocabulary.
        values |= dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    if isinstance(config, Qwen3Config) and config.causal:
        del values["is_causal"]  # the default; older readers do not know the key
    return {"architectures": [schema.architecture], **values, **schema.required, "dtype": dtype}
