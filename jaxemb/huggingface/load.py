"""Loads a Hugging Face or sentence-transformers folder as an `Embedder`: everything is checked, nothing is guessed."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.config import ModelConfig, ModernBertConfig, Qwen3Config
from jaxemb.config.encoder import Family
from jaxemb.encoding import Embedder, Towers, count_prompt_tokens
from jaxemb.encoding.towers import as_towers
from jaxemb.errors import UserError
from jaxemb.huggingface.files.configs import read_encoder_config
from jaxemb.huggingface.files.module_settings import check_layer_norm
from jaxemb.huggingface.files.modules import Modules, has_towers, read_modules
from jaxemb.huggingface.files.tensors import open_tensors
from jaxemb.huggingface.files.tokenizer import check_vocabulary, has_tokenizer, load_tokenizer
from jaxemb.huggingface.files.weights import FAMILIES, encoder_from_tensors
from jaxemb.huggingface.peft import is_adapter, read_adapter
from jaxemb.models import SIDES, Side, dense_params


def load_model(path: str | Path, *, allow: str | None = None, tower: Side | None = None) -> Embedder:
    """Loads a model from a local folder, strictly: no tensor is missing, unused or guessed.

    A sentence-transformers folder (old or new schema) defines pooling, layer norms, dense layers, normalisation,
    longest input, prompts, truncation and similarity. A plain Hugging Face folder, without modules.json, does not: it
    gets mean pooling (last-token pooling for a causal decoder), no dense layer, L2 normalisation and no prompt. Every
    key of the JSON files is read, is known not to change embeddings, or is refused; see `huggingface.keys`.

    A folder of LoRA adapters from PEFT or `jaxemb export --adapter` gives the base model that it names, from a folder
    or the Hub's cache, with the adapters merged.

    Args:
      path: the folder. Nothing is downloaded and no code of the folder runs.
      allow: a regular expression of the encoder's tensors that may be missing (they are initialized as in a new model)
        or unused; see `ModelConfig.init_allow`.
      tower: for a `Router`, the model for queries (`anchor`) or the one for documents (`positive`).

    Returns: the embedder; parameters are float32 arrays on the default device, dropout rates as in config.json.
    Raises: UserError; the message names the file and what is wrong with it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    modules = read_modules(folder, tower)
    adapter = read_adapter(modules.transformer) if is_adapter(modules.transformer) else None
    source = modules.transformer if adapter is None else adapter.base_folder()
    encoder = read_encoder_config(source / "config.json")
    own = adapter is None or has_tokenizer(modules.transformer)
    tokenizer = load_tokenizer(modules.transformer if own else source, lowercase=modules.lowercase)
    check_vocabulary(tokenizer, encoder, str(source))
    longest = _longest(modules, tokenizer, encoder)
    plain_decoder = getattr(encoder, "causal", False) and not (folder / "modules.json").exists()
    config = ModelConfig(
        encoder=encoder,
        pooling="lasttoken" if plain_decoder else modules.pooling,
        include_prompt=modules.include_prompt,
        prompt_tokens=0 if modules.include_prompt else count_prompt_tokens(tokenizer, modules.use.prompt, longest),
        layer_norm=modules.layer_norm_folder is not None,
        dense=modules.dense_config,
        normalize=modules.normalize,
        max_seq_length=longest,
        prompt=modules.use.prompt,
        prompts=modules.use.prompts,
        truncate_dim=modules.use.truncate_dim,
        similarity=modules.use.similarity,
    )
    readers = open_tensors(source)
    if adapter is not None:
        readers = adapter.merge(readers, FAMILIES[encoder.model_type])
    params: dict[str, Any] = {"encoder": encoder_from_tensors(readers, encoder, source, allow)}
    if modules.layer_norm_folder is not None:
        check_layer_norm(modules.layer_norm_folder / "config.json", config.pooled_size)
        params["layer_norm"] = _read_norm(modules.layer_norm_folder, config.pooled_size)
    if modules.dense:
        params["dense"] = dense_params(config, _read_dense(modules, config.pooled_size))
    return Embedder(config, jax.tree.map(jnp.asarray, params), tokenizer)


def load_towers(path: str | Path, *, allow: str | None = None, tower: Side | None = None) -> Towers:
    """Like `load_model`, but both towers of a `Router`; other folders, or `tower`, give one embedder for both."""
    if tower is None and has_towers(Path(path)):
        return Towers(*(load_model(path, allow=allow, tower=side) for side in SIDES))
    return as_towers(load_model(path, allow=allow, tower=tower))


def _longest(modules: Modules, tokenizer: Any, encoder: Family) -> int:
    """The longest input in tokens: the module's, else the tokenizer's; never more than the number of positions."""
    rotary = isinstance(encoder, ModernBertConfig | Qwen3Config)
    if rotary and modules.max_seq_length is not None and modules.max_seq_length > encoder.max_tokens:
        raise UserError(
            f"{modules.settings}: max_seq_length {modules.max_seq_length} is more than max_position_embeddings "
            f"({encoder.max_tokens}) of config.json: set it to that, or max_position_embeddings to it"
        )
    return int(min(modules.max_seq_length or tokenizer.model_max_length, encoder.max_tokens))


def _read_norm(folder: Path, width: int) -> dict[str, np.ndarray]:
    read = _read_module(folder, {"norm.weight": (width,), "norm.bias": (width,)})
    return {"scale": read["norm.weight"], "bias": read["norm.bias"]}


def _read_dense(modules: Modules, width: int) -> list[dict[str, Any]]:
    """The parameters of each dense layer; `width` is the input width of the first."""
    layers = []
    for number, module in enumerate(modules.dense):
        outputs = module.config.out_features or width
        if module.inputs != width:
            what = "the output of the dense layer before it" if number else "the pooled vector"
            raise UserError(
                f"{module.folder / 'config.json'}: in_features is {module.inputs}, but {what} has a width of {width}"
            )
        shapes: dict[str, Any] = {"linear.weight": (outputs, width)}
        shapes |= {"linear.bias": (outputs,)} if module.config.bias else {}
        read = _read_module(module.folder, shapes)
        layer: dict[str, Any] = {"kernel": np.ascontiguousarray(read["linear.weight"].T)}
        layer |= {"bias": read["linear.bias"]} if module.config.bias else {}
        layer |= {"norm": _read_norm(module.norm_folder, outputs)} if module.norm_folder is not None else {}
        layers.append(layer)
        width = outputs
    return layers


def _read_module(folder: Path, shapes: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of a module after the encoder; it must have exactly these."""
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
