"""`config.json` of a checkpoint to and from our settings, family by family."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jaxemb.config import (
    BertConfig,
    DistilBertConfig,
    ModernBertConfig,
    MPNetConfig,
    Qwen3Config,
    RobertaConfig,
)
from jaxemb.config.encoder import Family
from jaxemb.errors import UserError
from jaxemb.huggingface.tensors import read_object

SAME_ACTIVATION = {"gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new", "swish": "silu"}  # names of one formula


@dataclass(frozen=True)
class Schema:
    """How a family's `config.json` differs from our settings."""

    config: type[Family]
    architecture: str
    """The class of transformers that reads it."""
    names: dict[str, str] = field(default_factory=dict)
    """Our name -> theirs, where they differ."""
    fixed: dict[str, Any] = field(default_factory=dict)
    """Settings (in our names) that `config.json` cannot say."""
    required: dict[str, Any] = field(default_factory=dict)
    """Their settings that must have this value, or be left out; they are written, too."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """What transformers takes for a setting (in our names) that is left out, where it is not our default."""


_POSITIONS = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
_ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12}
SCHEMAS: dict[str, Schema] = {
    "bert": Schema(BertConfig, "BertModel", required=_POSITIONS, defaults={"vocab_size": 30522}),
    "roberta": Schema(RobertaConfig, "RobertaModel", required=_POSITIONS, defaults=_ROBERTA),
    "xlm-roberta": Schema(
        RobertaConfig, "XLMRobertaModel", required=_POSITIONS, defaults=_ROBERTA | {"vocab_size": 30522}
    ),
    "distilbert": Schema(
        DistilBertConfig,
        "DistilBertModel",
        names={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
            "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout",
        },
        fixed={"layer_norm_eps": 1e-12},
        defaults={"vocab_size": 30522},
    ),
    "mpnet": Schema(MPNetConfig, "MPNetModel", defaults={"vocab_size": 30527, "max_position_embeddings": 512}),
    "modernbert": Schema(
        ModernBertConfig,
        "ModernBertModel",
        names={
            "hidden_act": "hidden_activation",
            "hidden_dropout_prob": "mlp_dropout",
            "attention_probs_dropout_prob": "attention_dropout",
            "layer_norm_eps": "norm_eps",
        },
        required={"attention_bias": False, "mlp_bias": False, "norm_bias": False},
        defaults={"vocab_size": 50368, "pad_token_id": 50283},
    ),
    "qwen3": Schema(
        Qwen3Config,
        "Qwen3Model",
        names={"attention_probs_dropout_prob": "attention_dropout", "layer_norm_eps": "rms_norm_eps"},
        fixed={"hidden_dropout_prob": 0.0, "causal": True},
        required={"attention_bias": False, "use_sliding_window": False},
        defaults={
            "vocab_size": 151936,
            "hidden_size": 4096,
            "intermediate_size": 22016,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "rope_theta": 10_000.0,
        },
    ),
}


def read_encoder_config(path: Path) -> Family:
    """Reads the architecture from `config.json`.

    Raises: UserError if the file is missing or broken, or the model is not an encoder that we compute exactly.
    """
    raw = read_object(path)
    kind = raw.get("model_type")
    if not isinstance(kind, str) or kind not in SCHEMAS:
        raise UserError(f"{path}: model_type {kind!r} is not supported; supported: {', '.join(map(repr, SCHEMAS))}")
    schema = SCHEMAS[kind]
    for key, value in schema.required.items():
        if raw.get(key, value) != value:
            raise UserError(f"{path}: {key} {raw[key]!r} is not supported; supported: {value!r}")
    raw = raw | _rope(raw, path) | _every(raw)
    values: dict[str, Any] = dict(schema.defaults)
    for name in schema.config.model_fields.keys() - schema.fixed.keys():
        if (value := raw.get(schema.names.get(name, name))) is not None:
            values[name] = value
    if isinstance(activation := values.get("hidden_act"), str):
        values["hidden_act"] = SAME_ACTIVATION.get(activation, activation)
    if kind == "qwen3" and raw.get("num_key_value_heads", 0) is None:
        values["num_key_value_heads"] = values["num_attention_heads"]
    for name, known in schema.config.model_fields.items():  # JSON writes 0.0 as 0, say
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


def _rope(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Our names for the rotary settings of `rope_parameters`, which transformers 5 writes."""
    scaling = raw.get("rope_scaling")
    parameters = raw.get("rope_parameters")
    by_layer = isinstance(parameters, dict) and any(isinstance(value, dict) for value in parameters.values())
    groups: dict[str, Any] = parameters if by_layer else {"": parameters or {}}  # type: ignore[assignment]
    found = {}
    for layer, group in [*groups.items(), *([("", scaling)] if scaling else [])]:
        if not isinstance(group, dict) or group.get("rope_type", group.get("type", "default")) != "default":
            raise UserError(f"{path}: rotary positions {group!r} are not supported; supported: rope_type 'default'")
        name = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}.get(layer, "rope_theta")
        if "rope_theta" in group:
            found[name] = group["rope_theta"]
    return found


def _every(raw: dict[str, Any]) -> dict[str, Any]:
    """Every how many layers attention is global, from the list of layers that transformers 5 writes."""
    types = raw.get("layer_types")
    if not isinstance(types, list) or raw.get("global_attn_every_n_layers") is not None:
        return {}
    after = [layer for layer, kind in enumerate(types) if kind == "full_attention" and layer > 0]
    return {"global_attn_every_n_layers": after[0] if after else max(len(types), 1)}


def _check_layer_types(raw: dict[str, Any], config: Family, path: Path) -> None:
    types = raw.get("layer_types")
    if types is None:
        return
    every = config.global_attn_every_n_layers if isinstance(config, ModernBertConfig) else 1
    wanted = ["sliding_attention" if layer % every else "full_attention" for layer in range(config.num_hidden_layers)]
    if types != wanted:
        raise UserError(f"{path}: layer_types {types} are not supported: full attention must recur every n layers")


def encoder_config_json(config: Family, dtype: str = "float32") -> dict[str, Any]:
    """The content of `config.json`, with every size in it."""
    schema = SCHEMAS[config.model_type]
    values = {schema.names.get(name, name): value for name, value in config.model_dump().items()}
    values = {name: value for name, value in values.items() if name not in schema.fixed}
    if isinstance(config, ModernBertConfig):
        values["embedding_dropout"] = config.hidden_dropout_prob
        # Left out, they would be those of ModernBERT's own vocabulary.
        values |= dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    return {"architectures": [schema.architecture], **values, **schema.required, "dtype": dtype}
