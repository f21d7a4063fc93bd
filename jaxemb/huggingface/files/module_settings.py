"""Reads the JSON files of sentence-transformers' modules, in the old and the new schema; every key is checked."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from jaxemb.config import DenseConfig, Prompt
from jaxemb.config.model import PoolingMode
from jaxemb.config.options import Similarity
from jaxemb.errors import UserError
from jaxemb.huggingface.files.keys import check_keys, shorten
from jaxemb.huggingface.files.tensors import read_object

TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Files with settings of the Transformer module: the first one that exists and is not empty counts."""
POOLING_FLAGS: dict[PoolingMode, str] = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
ACTIVATIONS = {
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.SiLU": "silu",
}
PLAIN_TRANSFORMER: dict[str, tuple[Any, ...]] = {
    "transformer_task": ("feature-extraction",),
    "module_output_name": ("token_embeddings",),
    "processing_kwargs": ({},),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "tokenizer_name_or_path": (None,),
}
"""Settings of the Transformer module that can change embeddings, and their values that do not."""
ARGUMENTS = ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs")
HARMLESS_ARGUMENTS = re.compile(
    "trust_remote_code|torch_dtype|dtype|attn_implementation|device_map|low_cpu_mem_usage|use_safetensors|use_fast"
)
"""Arguments for loading that change at most the precision; no code is run, whatever their value."""
TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}
SENTENCE = {"module_input_name": ("sentence_embedding",), "module_output_name": ("sentence_embedding",)}


@dataclass(frozen=True)
class Use:
    """The settings of config_sentence_transformers.json for the use of a model."""

    prompt: str = ""
    """The default prompt."""
    prompts: tuple[Prompt, ...] = ()
    """All named prompts."""
    truncate_dim: int | None = None
    similarity: Similarity = "cosine"


def read_transformer(folder: Path) -> tuple[Path, int | None, bool]:
    """The file of the Transformer module's settings; the longest input, None if the tokenizer has it; and whether texts
    are lower-cased, whatever the tokenizer does.

    Raises: UserError if a setting would change embeddings in a way that is not supported.
    """
    for name in TRANSFORMER_FILES:
        path = folder / name
        if path.exists() and (config := read_object(path)):
            break
    else:
        return folder / TRANSFORMER_FILES[0], None, False
    read = {"max_seq_length", "do_lower_case", "modality_config", *ARGUMENTS}
    check_keys(path, config, read, plain=PLAIN_TRANSFORMER, harmless=re.compile("unpad_inputs"))
    for key in ARGUMENTS:
        arguments = config.get(key) or {}
        if not isinstance(arguments, dict):
            raise UserError(f"{path}: {key} {shorten(arguments)} is not supported; supported: {{}}")
        check_keys(path, {f"{key}.{name}": value for name, value in arguments.items()}, (), harmless=_ARGUMENT)
    modalities = config.get("modality_config")
    if modalities is not None and (not isinstance(modalities, dict) or modalities.get("text") != TEXT):
        raise UserError(f"{path}: modality_config {shorten(modalities)} is not supported; supported for text: {TEXT}")
    length, lowercase = config.get("max_seq_length"), config.get("do_lower_case", False)
    if length is not None and (type(length) is not int or length < 1):
        raise UserError(f"{path}: max_seq_length {length!r} must be a positive number of tokens")
    if not isinstance(lowercase, bool | None):
        raise UserError(f"{path}: do_lower_case {lowercase!r} must be true or false")
    return path, length, bool(lowercase)


_ARGUMENT = re.compile(rf"\w+\.({HARMLESS_ARGUMENTS.pattern})")


def read_pooling(path: Path) -> tuple[PoolingMode | tuple[PoolingMode, ...], bool]:
    """The poolings, and whether they include the prompt's tokens.

    Raises: UserError if a pooling is not supported.
    """
    config = read_object(path)
    read = {"pooling_mode", "include_prompt", *POOLING_FLAGS.values()}
    # The width is that of the encoder: sentence-transformers does not use the one in the file.
    check_keys(path, config, read, harmless=re.compile("(word_)?embedding_dimension"))
    if config.get("pooling_mode") is not None:  # the new schema: a name or a list of names
        value = config["pooling_mode"]
        modes = [value] if isinstance(value, str) else list(value) if isinstance(value, list) else [value]
    else:
        modes = [mode for mode, flag in POOLING_FLAGS.items() if config.get(flag)] or ["mean"]
    if modes != [mode for mode in POOLING_FLAGS if mode in modes] or not modes:
        raise UserError(
            f"{path}: pooling {' + '.join(map(str, modes)) or '(none)'} is not supported; supported, in this order: "
            f"{', '.join(POOLING_FLAGS)}"
        )
    include_prompt = config.get("include_prompt", True)
    if not isinstance(include_prompt, bool):
        raise UserError(f"{path}: include_prompt {include_prompt!r} must be true or false")
    return cast(Any, modes[0] if len(modes) == 1 else tuple(modes)), include_prompt


def read_dense(path: Path) -> tuple[DenseConfig, int]:
    """A dense layer, and the width of its input.

    Raises: UserError if it is not supported.
    """
    config = read_object(path)
    read = {"in_features", "out_features", "bias", "activation_function"}
    check_keys(path, config, read, plain=SENTENCE | {"use_residual": (False,)})
    activation, bias = config.get("activation_function", "torch.nn.modules.activation.Tanh"), config.get("bias", True)
    kind = next((kind for name, kind in ACTIVATIONS.items() if activation in (name, _short(name))), None)
    if kind is None:
        raise UserError(f"{path}: activation {activation!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    inputs, outputs = config.get("in_features"), config.get("out_features")
    if type(inputs) is not int or type(outputs) is not int or min(inputs, outputs) < 1:
        raise UserError(f"{path}: in_features and out_features must be positive numbers")
    if not isinstance(bias, bool):
        raise UserError(f"{path}: bias {bias!r} must be true or false")
    return DenseConfig(out_features=outputs, activation=cast(Any, kind), bias=bias), inputs


def _short(name: str) -> str:
    """`torch.nn.Tanh` of `torch.nn.modules.activation.Tanh`."""
    return f"torch.nn.{name.rsplit('.', 1)[-1]}"


def check_layer_norm(path: Path, width: int) -> None:
    """Raises UserError if the file of a layer norm has another width, or any other key."""
    config = read_object(path)
    check_keys(path, config, ("dimension",))
    if config.get("dimension", width) != width:
        raise UserError(f"{path}: dimension is {config['dimension']!r}, but the vector's width is {width}")


def check_normalize(path: Path) -> None:
    """Raises UserError if the file of a normalisation exists and names another vector than the embedding."""
    if path.exists():
        check_keys(path, read_object(path), (), plain=SENTENCE)


def read_use(path: Path) -> Use:
    """Prompts, truncation and similarity; empty without the file.

    Raises: UserError if the file is for another kind of model, or a setting is unknown.
    """
    config = read_object(path) if path.exists() else {}
    read = {"prompts", "default_prompt_name", "truncate_dim", "similarity_fn_name"}
    plain = {"model_type": ("SentenceTransformer",)}
    check_keys(path, config, read, plain=plain, harmless=re.compile("__version__|requirements"))
    truncate_dim, similarity = config.get("truncate_dim"), config.get("similarity_fn_name") or "cosine"
    if truncate_dim is not None and (type(truncate_dim) is not int or truncate_dim < 1):
        raise UserError(f"{path}: truncate_dim {truncate_dim!r} must be a positive number of dimensions")
    if similarity not in get_args(Similarity):
        raise UserError(
            f"{path}: similarity_fn_name {similarity!r} is not supported; supported: {', '.join(get_args(Similarity))}"
        )
    prompt, prompts = _prompts(path, config)
    return Use(prompt, prompts, truncate_dim, cast(Similarity, similarity))


def _prompts(path: Path, config: dict[str, Any]) -> tuple[str, tuple[Prompt, ...]]:
    """The default prompt, and all named prompts."""
    name, prompts = config.get("default_prompt_name"), config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise UserError(f"{path}: prompts must be an object of texts")
    named = tuple(Prompt(name=key, text=text or "") for key, text in prompts.items())
    if name is None:
        return "", named
    if not isinstance(name, str) or name not in prompts:
        raise UserError(f"{path}: default_prompt_name {name!r} is not one of its prompts ({', '.join(prompts)})")
    return prompts[name] or "", named
