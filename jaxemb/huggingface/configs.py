"""`config.json` of a BERT checkpoint to and from our settings."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jaxemb.config import EncoderConfig
from jaxemb.errors import UserError
from jaxemb.huggingface.tensors import read_object

BERT_VOCABULARY = 30522  # transformers' default, for a config.json that leaves it out; so are EncoderConfig's defaults
SAME_ACTIVATION = {"gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new"}  # three names of one formula
REQUIRED = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}


def read_encoder_config(path: Path) -> EncoderConfig:
    """Reads the architecture from `config.json`.

    Raises: UserError if the file is missing or broken, or the model is not a BERT encoder that we compute exactly.
    """
    raw = read_object(path)
    if raw.get("model_type") != "bert":
        raise UserError(f"{path}: model_type {raw.get('model_type')!r} is not supported; supported: 'bert'")
    for key, value in REQUIRED.items():
        if raw.get(key, value) != value:
            raise UserError(f"{path}: {key} {raw[key]!r} is not supported; supported: {value!r}")
    values = {key: raw[key] for key in EncoderConfig.model_fields if raw.get(key) is not None}
    values.setdefault("vocab_size", BERT_VOCABULARY)
    activation = values.get("hidden_act")
    if isinstance(activation, str):
        values["hidden_act"] = SAME_ACTIVATION.get(activation, activation)
    try:
        return EncoderConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key or 'config'}: {first['msg']} (found {first['input']!r})") from None


def encoder_config_json(config: EncoderConfig) -> dict[str, Any]:
    """The content of `config.json`, with every size in it."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        **config.model_dump(),
        "position_embedding_type": "absolute",
        "dtype": "float32",
    }
