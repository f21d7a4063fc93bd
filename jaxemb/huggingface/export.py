"""Writes a model as a folder that transformers, sentence-transformers (old and new) and jaxemb load."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxemb.config import ModelConfig
from jaxemb.files import atomic_directory
from jaxemb.huggingface.card import CardInfo, model_card
from jaxemb.huggingface.configs import encoder_config_json
from jaxemb.huggingface.modules import (
    LAYER_NORM_FOLDER,
    check_exportable,
    dense_folder,
    module_files,
    write_json_files,
)
from jaxemb.huggingface.tensors import WEIGHTS, Dtype, save_tensors, to_dtype
from jaxemb.huggingface.tokenizer import check_vocabulary, save_tokenizer
from jaxemb.huggingface.verify import VerifyReport, verify_export, verify_with_torch
from jaxemb.huggingface.weights import FAMILIES, encoder_to_tensors
from jaxemb.models import Embedder, embedding_size


def export(
    embedder: Embedder,
    out: str | Path,
    *,
    card: CardInfo | None = None,
    verify: Literal["auto", "jax", "torch"] = "auto",
    dtype: Dtype = "float32",
    replace: bool = False,
) -> VerifyReport:
    """Writes `embedder` to `out`, reloads it and compares embeddings; `out` appears only if they agree.

    BERT, RoBERTa and MPNet have a pooler, tanh(dense(first token)). Where the model ends in just that (cls pooling, a
    square dense layer with tanh), the dense layer is written there too, so that `AutoModel`'s `pooler_output` is the
    embedding before normalisation; elsewhere the pooler is an identity, and the model card says so. Padding rows of
    the vocabulary and a head of training only are left out.

    Args:
      embedder: the model; its parameters must be readable from this process. LoRA's adapters are merged.
      out: the folder; must not exist, or be empty, unless `replace`.
      card: what README.md says beyond the architecture.
      verify: see `verify_export`.
      dtype: type of the weights. What is compared is the model with its weights rounded to it.
      replace: a folder that is at `out` already gives way once the new one is verified.

    Returns: what was compared and how far apart it was.
    Raises: UserError if `out` holds something, the tokenizer does not fit, sentence-transformers has no such pooling,
      or the reloaded export embeds differently.
    """
    out = Path(out).absolute()
    embedder = embedder.merged()
    config = embedder.config
    check_exportable(config)
    verify_with_torch(verify)  # says what is not installed before the work
    check_vocabulary(embedder.tokenizer, config.encoder, "the model to export")
    params = jax.tree.map(lambda leaf: to_dtype(np.asarray(leaf), dtype), jax.device_get(embedder.params))
    length = config.max_seq_length or config.encoder.max_tokens
    pooler = _ends_in_pooler(config)
    with atomic_directory(out, replace=replace) as folder:
        files = {"config.json": encoder_config_json(config.encoder, dtype), **module_files(config, length)}
        write_json_files(files, folder)
        tensors = encoder_to_tensors(params["encoder"], config.encoder)
        if FAMILIES[config.encoder.model_type].pooler:
            tensors |= _pooler(config, params, pooler)
        save_tensors(tensors, folder / WEIGHTS, dtype)
        save_head(config, params, folder, dtype)
        token_types = getattr(config.encoder, "type_vocab_size", 1) > 1
        save_tokenizer(embedder.tokenizer, folder, length, token_types=token_types)
        readme = model_card(config, out, card, length, pooler, dtype)
        (folder / "README.md").write_text(readme, encoding="utf-8")
        rounded = jax.tree.map(lambda leaf: jax.numpy.asarray(leaf, np.float32), params)
        return verify_export(dataclasses.replace(embedder, params=rounded), folder, verify)


def save_head(config: ModelConfig, params: dict[str, Any], folder: Path, dtype: Dtype = "float32") -> None:
    """Writes the weights of the layer norm and the dense layer after pooling, where the model has them."""
    if config.layer_norm:
        norm = {"norm.weight": params["layer_norm"]["scale"], "norm.bias": params["layer_norm"]["bias"]}
        save_tensors(norm, folder / LAYER_NORM_FOLDER / WEIGHTS, dtype)
    if config.dense is not None:
        dense = {"linear.weight": params["dense"]["kernel"].T}
        dense |= {"linear.bias": params["dense"]["bias"]} if config.dense.bias else {}
        save_tensors(dense, folder / dense_folder(config) / WEIGHTS, dtype)


def _ends_in_pooler(config: ModelConfig) -> bool:
    """Whether the model ends in what BERT calls its pooler."""
    dense = config.dense
    square = embedding_size(config) == config.encoder.hidden_size
    has_one = FAMILIES[config.encoder.model_type].pooler
    plain = config.poolings == ("cls",) and not config.layer_norm and config.prompt_tokens == 0
    return has_one and plain and dense is not None and dense.activation == "tanh" and square


def _pooler(config: ModelConfig, params: dict[str, Any], pooler: bool) -> dict[str, np.ndarray]:
    width = config.encoder.hidden_size
    kernel = params["dense"]["kernel"].T if pooler else np.eye(width, dtype=np.float32)
    bias = params["dense"].get("bias") if pooler else None
    return {"pooler.dense.weight": kernel, "pooler.dense.bias": np.zeros(width, np.float32) if bias is None else bias}
