"""From a Hugging Face or sentence-transformers folder to an `Embedder`: everything is checked, nothing is guessed."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.config import ModelConfig, Qwen3Config
from jaxemb.errors import UserError
from jaxemb.huggingface.configs import read_encoder_config
from jaxemb.huggingface.modules import Modules, has_towers, read_modules
from jaxemb.huggingface.tensors import open_tensors
from jaxemb.huggingface.tokenizer import check_vocabulary, load_tokenizer
from jaxemb.huggingface.weights import encoder_from_tensors
from jaxemb.models import SIDES, Embedder, Side, Towers, count_prompt_tokens
from jaxemb.models.towers import as_towers


def load_model(path: str | Path, *, allow: str | None = None, tower: Side | None = None) -> Embedder:
    """Loads a model from a local folder, strictly: no tensor is missing, left over or guessed.

    A sentence-transformers folder (old or new schema) gives its pooling, layer norm, dense layer, normalisation,
    longest input and prompts. A plain Hugging Face folder, without modules.json, says nothing of these: it gets mean
    pooling (the last token in a decoder), no dense layer, L2 normalisation and no prompt.

    Args:
      path: the folder. Nothing is downloaded and no code of the folder runs.
      allow: a regular expression of the encoder's tensors that may be missing (they are drawn as in a new model) or
        left over; see `ModelConfig.init_allow`.
      tower: of a `Router`, which has a model for queries and one for documents, that for queries (`anchor`) or that for
        documents (`positive`).

    Returns: the embedder; parameters are float32 arrays on the default device, dropout rates as in config.json.
    Raises: UserError that names the file and what is wrong with it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    modules = read_modules(folder, tower)
    source = modules.transformer
    encoder = read_encoder_config(source / "config.json")
    tokenizer = load_tokenizer(source)
    check_vocabulary(tokenizer, encoder, str(source))
    if modules.lowercase and not _lowercases(tokenizer):
        raise UserError(f"{source}: do_lower_case with a tokenizer that keeps case is not supported")
    longest = int(min(modules.max_seq_length or tokenizer.model_max_length, encoder.max_tokens))
    plain_decoder = isinstance(encoder, Qwen3Config) and not (folder / "modules.json").exists()
    config = ModelConfig(
        encoder=encoder,
        pooling="lasttoken" if plain_decoder else modules.pooling,
        include_prompt=modules.include_prompt,
        prompt_tokens=0 if modules.include_prompt else count_prompt_tokens(tokenizer, modules.prompt, longest),
        layer_norm=modules.layer_norm_folder is not None,
        dense=modules.dense,
        normalize=modules.normalize,
        max_seq_length=longest,
        prompt=modules.prompt,
        prompts=modules.prompts,
    )
    params: dict[str, Any] = {"encoder": encoder_from_tensors(open_tensors(source), encoder, source, allow)}
    if modules.layer_norm_folder is not None:
        shapes = {"norm.weight": (config.pooled_size,), "norm.bias": (config.pooled_size,)}
        read = _read_module(modules.layer_norm_folder, shapes)
        params["layer_norm"] = {"scale": read["norm.weight"], "bias": read["norm.bias"]}
    if modules.dense is not None:
        params["dense"] = _read_dense(modules, config)
    return Embedder(config, jax.tree.map(jnp.asarray, params), tokenizer)


def load_towers(path: str | Path, *, allow: str | None = None, tower: Side | None = None) -> Towers:
    """As `load_model`, both towers of a `Router`; of any other folder, or with `tower`, one embedder for both."""
    if tower is None and has_towers(Path(path)):
        return Towers(*(load_model(path, allow=allow, tower=side) for side in SIDES))
    return as_towers(load_model(path, allow=allow, tower=tower))


def _lowercases(tokenizer: Any) -> bool:
    return tokenizer.backend_tokenizer.normalizer is not None and (
        tokenizer.backend_tokenizer.normalizer.normalize_str("ÀB")
        == tokenizer.backend_tokenizer.normalizer.normalize_str("àb")
    )


def _read_dense(modules: Modules, config: ModelConfig) -> dict[str, np.ndarray]:
    folder, dense = modules.dense_folder, modules.dense
    assert folder is not None
    assert dense is not None
    if modules.dense_inputs != config.pooled_size:
        raise UserError(
            f"{folder / 'config.json'}: in_features is {modules.dense_inputs}, "
            f"but the pooled vector's width is {config.pooled_size}"
        )
    shapes: dict[str, Any] = {"linear.weight": (dense.out_features, config.pooled_size)}
    shapes |= {"linear.bias": (dense.out_features,)} if dense.bias else {}
    read = _read_module(folder, shapes)
    params = {"kernel": np.ascontiguousarray(read["linear.weight"].T)}
    return params | ({"bias": read["linear.bias"]} if dense.bias else {})


def _read_module(folder: Path, shapes: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of a module after the encoder, which must be these."""
    readers = open_tensors(folder)
    if readers.keys() != shapes.keys():
        missing, unexpected = sorted(shapes.keys() - readers.keys()), sorted(readers.keys() - shapes.keys())
        raise UserError(
            f"{folder}: missing tensors: {', '.join(missing) or 'none'}; unexpected: {', '.join(unexpected) or 'none'}"
        )
    read = {name: reader() for name, reader in readers.items()}
    for name, shape in shapes.items():
        if read[name].shape != shape:
            raise UserError(f"{folder}: {name} has the shape {list(read[name].shape)}; config.json says {list(shape)}")
    return read
