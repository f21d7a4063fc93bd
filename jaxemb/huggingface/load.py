"""From a Hugging Face or sentence-transformers folder to an `Embedder`: everything is checked, nothing is guessed."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.config import EncoderConfig, ModelConfig
from jaxemb.errors import UserError
from jaxemb.huggingface.configs import read_encoder_config
from jaxemb.huggingface.modules import Modules, read_modules
from jaxemb.huggingface.tensors import open_tensors
from jaxemb.huggingface.tokenizer import check_vocabulary, load_tokenizer
from jaxemb.huggingface.weights import encoder_from_tensors
from jaxemb.models import Embedder


def load_model(path: str | Path) -> Embedder:
    """Loads a BERT model from a local folder, strictly: no tensor is missing, left over or guessed.

    A sentence-transformers folder (old or new schema) gives its pooling (cls or mean), dense layer (tanh or
    identity), normalisation, longest input and default prompt. A plain Hugging Face BERT folder, without
    modules.json, says nothing of these: it gets mean pooling, no dense layer, L2 normalisation and no prompt.

    Args:
      path: the folder. Nothing is downloaded and no code of the folder runs.

    Returns: the embedder; parameters are float32 arrays on the default device, dropout rates as in config.json.
    Raises: UserError that names the file and what is wrong with it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    modules = read_modules(folder)
    source = modules.transformer
    encoder = read_encoder_config(source / "config.json")
    tokenizer = load_tokenizer(source)
    check_vocabulary(tokenizer, encoder, str(source))
    if modules.lowercase and not _lowercases(tokenizer):
        raise UserError(f"{source}: do_lower_case with a tokenizer that keeps case is not supported")
    params: dict[str, Any] = {"encoder": encoder_from_tensors(open_tensors(source), encoder, source)}
    if modules.dense is not None:
        params["dense"] = _read_dense(modules, encoder)
    length = modules.max_seq_length or tokenizer.model_max_length
    config = ModelConfig(
        encoder=encoder,
        pooling=modules.pooling,
        dense=modules.dense,
        normalize=modules.normalize,
        max_seq_length=int(min(length, encoder.max_position_embeddings)),
        prompt=modules.prompt,
    )
    return Embedder(config, jax.tree.map(jnp.asarray, params), tokenizer)


def _lowercases(tokenizer: Any) -> bool:
    return tokenizer.backend_tokenizer.normalizer is not None and (
        tokenizer.backend_tokenizer.normalizer.normalize_str("ÀB")
        == tokenizer.backend_tokenizer.normalizer.normalize_str("àb")
    )


def _read_dense(modules: Modules, encoder: EncoderConfig) -> dict[str, np.ndarray]:
    folder, dense = modules.dense_folder, modules.dense
    assert folder is not None
    assert dense is not None
    if modules.dense_inputs != encoder.hidden_size:
        raise UserError(
            f"{folder / 'config.json'}: in_features is {modules.dense_inputs}, "
            f"but the encoder's width is {encoder.hidden_size}"
        )
    readers = open_tensors(folder)
    wanted = {"linear.weight"} | ({"linear.bias"} if modules.dense_bias else set())
    if readers.keys() != wanted:
        missing, unexpected = sorted(wanted - readers.keys()), sorted(readers.keys() - wanted)
        raise UserError(
            f"{folder}: missing tensors: {', '.join(missing) or 'none'}; unexpected: {', '.join(unexpected) or 'none'}"
        )
    kernel = readers["linear.weight"]().T
    outputs = dense.out_features
    bias = readers["linear.bias"]() if modules.dense_bias else np.zeros(kernel.shape[1], np.float32)
    if kernel.shape != (encoder.hidden_size, outputs) or bias.shape != (outputs,):
        raise UserError(
            f"{folder}: weight {list(kernel.T.shape)} and bias {list(bias.shape)} are not the "
            f"{[outputs, encoder.hidden_size]} and {[outputs]} of its config.json"
        )
    return {"kernel": np.ascontiguousarray(kernel), "bias": bias}
