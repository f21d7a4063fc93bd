"""Writes a model as a folder that transformers, sentence-transformers (old and new) and jaxemb load."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxemb.config import ModelConfig
from jaxemb.encoding import Embedder, Towers
from jaxemb.encoding.towers import as_towers
from jaxemb.errors import UserError
from jaxemb.files import atomic_directory
from jaxemb.huggingface.card import CardInfo, model_card
from jaxemb.huggingface.files.configs import encoder_config_json
from jaxemb.huggingface.files.modules import (
    check_exportable,
    head_modules,
    module_files,
    router_files,
    write_json_files,
)
from jaxemb.huggingface.files.tensors import WEIGHTS, Dtype, save_tensors, to_dtype
from jaxemb.huggingface.files.tokenizer import check_vocabulary, save_tokenizer
from jaxemb.huggingface.files.weights import FAMILIES, encoder_to_tensors
from jaxemb.huggingface.servers import Server, check_served, keys_of_tei, servers_note
from jaxemb.huggingface.verify import Verifier, VerifyReport, verifier
from jaxemb.models import embedding_size, params_of_dense


def export(
    model: Embedder | Towers,
    out: str | Path,
    *,
    card: CardInfo | None = None,
    verify: Literal["auto", "jax", "torch"] | Verifier | None = "auto",
    dtype: Dtype = "float32",
    replace: bool = False,
    target: Server | None = None,
) -> VerifyReport:
    """Writes `model` to `out`, reloads it and compares embeddings; `out` appears only if they agree.

    BERT, RoBERTa and MPNet have a pooler, tanh(dense(first token)). If the model ends in exactly this (cls pooling, a
    square dense layer with tanh), the dense layer is also written there, so that `AutoModel`'s `pooler_output` is the
    embedding before normalisation; otherwise the pooler is an identity, and the model card says so. Padding rows of the
    vocabulary and the training-only head are left out.

    Two towers are separate models, in the folders `anchor` and `positive`. `SentenceTransformer(out)` has both:
    `encode_query`, and `encode`, use the anchors' tower, `encode_document` the positives'.

    Args:
      model: one, or two towers; its parameters must be readable from this process. LoRA adapters are merged.
      out: the folder; must not exist, or be empty, unless `replace`.
      card: the contents of README.md beyond the architecture.
      verify: see `verify_export`; or a function `(towers, folder) -> VerifyReport` that checks the written folder
        instead and raises a UserError if it must not be kept; or None, which compares nothing.
      dtype: type of the weights. The comparison uses the model with its weights rounded to it.
      replace: whether to replace an existing folder once the new one is verified.
      target: the server that will serve the folder, `tei` (text-embeddings-inference) or `vllm`; a model that it would
        misread is refused, see `huggingface.servers`. Without it, the model card names servers that would misread it.

    Returns: what was compared, and the differences.
    Raises: UserError if `out` is not empty, the tokenizer does not fit, sentence-transformers has no such pooling,
      `target` would misread the model, two towers differ in more than their weights, or the reloaded export gives
      different embeddings.
    """
    out = Path(out).absolute()
    towers = as_towers(model)
    if target is not None:
        check_served(towers.anchor.config, towers.anchor.tokenizer, target, towers=not towers.tied)
    if not towers.alike:
        raise UserError("the two towers differ in more than their weights: export them separately (--tower)")
    check = verifier(verify)  # reports a missing package before the work
    with atomic_directory(out, replace=replace) as folder:
        if towers.tied:
            return check(as_towers(_write(towers.anchor, folder, out, card, dtype)), folder)
        return check(_write_towers(towers, folder, out, card or CardInfo(), dtype), folder)


def _write_towers(towers: Towers, folder: Path, out: Path, card: CardInfo, dtype: Dtype) -> Towers:
    """Writes the folder of each tower, and the files for both; returns the towers as written."""
    written = {}
    for side, texts in (("anchor", "anchors (queries)"), ("positive", "positives (documents)")):
        (folder / side).mkdir()
        title = f"{card.title or out.name}: the tower of the {texts}"
        own = dataclasses.replace(card, title=title, hub_name="", scores=(), data=(), command="", config="")
        written[side] = _write(getattr(towers, side), folder / side, out / side, own, dtype)
    config = written["anchor"].config
    length = config.longest_input
    write_json_files(router_files(module_files(config, length)), folder)
    card = dataclasses.replace(card, servers=servers_note(config, towers.anchor.tokenizer, towers=True))
    readme = model_card(config, out, card, length, _ends_in_pooler(config), dtype, towers=True)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return Towers(**written)


def _write(embedder: Embedder, folder: Path, out: Path, card: CardInfo | None, dtype: Dtype) -> Embedder:
    """Writes the files of one model; returns the model as written, with its weights rounded to `dtype`."""
    embedder = embedder.merged()
    config = embedder.config
    check_exportable(config)
    check_vocabulary(embedder.tokenizer, config.encoder, "the model to export")
    params = jax.tree.map(lambda leaf: to_dtype(np.asarray(leaf), dtype), jax.device_get(embedder.params))
    length, pooler = config.longest_input, _ends_in_pooler(config)
    encoder = encoder_config_json(config.encoder, dtype) | keys_of_tei(config.encoder, embedder.tokenizer)
    write_json_files({"config.json": encoder, **module_files(config, length)}, folder)
    tensors = encoder_to_tensors(params["encoder"], config.encoder)
    if FAMILIES[config.encoder.model_type].pooler:
        tensors |= _pooler(config, params, pooler)
    save_tensors(tensors, folder / WEIGHTS, dtype)
    save_head(config, params, folder, dtype)
    token_types = getattr(config.encoder, "type_vocab_size", 1) > 1
    save_tokenizer(embedder.tokenizer, folder, length, token_types=token_types)
    card = dataclasses.replace(card or CardInfo(), servers=servers_note(config, embedder.tokenizer))
    (folder / "README.md").write_text(model_card(config, out, card, length, pooler, dtype), encoding="utf-8")
    rounded = jax.tree.map(lambda leaf: jax.numpy.asarray(leaf, np.float32), params)
    return dataclasses.replace(embedder, params=rounded)


def save_head(config: ModelConfig, params: dict[str, Any], folder: Path, dtype: Dtype = "float32") -> None:
    """Writes the weights of the layer norms and dense layers after pooling, if the model has any."""
    layers = params_of_dense(config, params)
    for module in head_modules(config):
        if module.kind == "LayerNorm":
            norm = params["layer_norm"] if module.dense is None else layers[module.dense]["norm"]
            tensors = {"norm.weight": norm["scale"], "norm.bias": norm["bias"]}
        elif module.kind == "Dense" and module.dense is not None:
            layer = layers[module.dense]
            tensors = {"linear.weight": layer["kernel"].T}
            tensors |= {"linear.bias": layer["bias"]} if "bias" in layer else {}
        else:
            continue
        save_tensors(tensors, folder / module.folder / WEIGHTS, dtype)


def _ends_in_pooler(config: ModelConfig) -> bool:
    """Whether the model ends in a layer like BERT's pooler."""
    square = embedding_size(config) == config.encoder.hidden_size
    has_one = FAMILIES[config.encoder.model_type].pooler
    plain = config.poolings == ("cls",) and not config.layer_norm and config.prompt_tokens == 0
    tanh = [(dense.activation, dense.layer_norm) for dense in config.dense_layers] == [("tanh", False)]
    return has_one and plain and tanh and square and config.truncate_dim is None


def _pooler(config: ModelConfig, params: dict[str, Any], pooler: bool) -> dict[str, np.ndarray]:
    width = config.encoder.hidden_size
    dense = params_of_dense(config, params)[0] if pooler else {}
    kernel, bias = dense["kernel"].T if pooler else np.eye(width, dtype=np.float32), dense.get("bias")
    return {"pooler.dense.weight": kernel, "pooler.dense.bias": np.zeros(width, np.float32) if bias is None else bias}
