"""Writes LoRA adapters as a folder that PEFT, transformers and sentence-transformers load on top of the base model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxemb.config import LoraConfig, ModelConfig
from jaxemb.config.kinds import EMBEDDING_KINDS, dump_kinds
from jaxemb.encoding import Embedder
from jaxemb.errors import UserError
from jaxemb.files import atomic_directory
from jaxemb.huggingface import hub
from jaxemb.huggingface.exporting import save_head
from jaxemb.huggingface.files.modules import check_exportable, module_files, read_modules, write_json_files
from jaxemb.huggingface.files.tensors import save_tensors
from jaxemb.huggingface.files.tokenizer import save_tokenizer
from jaxemb.huggingface.files.weights import FAMILIES, Entry, encoder_to_tensors
from jaxemb.huggingface.load import load_model
from jaxemb.huggingface.peft import ADAPTER, ADAPTER_CONFIG, read_adapter
from jaxemb.models.lora import LORA, merge

_OF_VOCABULARY = {"vocab_size", "pad_token_id"}
"""Settings of an encoder in which an adapted model may differ from its base, beside those that change no embedding."""
TOLERANCE = 1e-5  # of merged kernels, relative to the largest value if above 1
CARD = """---
base_model: {base}
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, sentence-similarity, feature-extraction, peft, lora, jaxemb]
---

LoRA adapters of `{base}`, trained with jaxemb. `SentenceTransformer` loads this folder (with `peft` installed): base
model, adapters, pooling and what follows it. The encoder alone, for further use with PEFT:

```python
from peft import PeftModel
from transformers import AutoModel

encoder = PeftModel.from_pretrained(AutoModel.from_pretrained("{base}"), "this folder")
```
"""


@dataclass
class _Module:
    """A linear module of PEFT's model with adapters, and our kernels that it consists of: one, or several fused."""

    entries: list[Entry] = field(default_factory=list)
    """All parts of the module, in order."""
    adapters: dict[int, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """The adapters of each part, by its number."""


def export_adapter(embedder: Embedder, out: str | Path, *, base: str | None = None) -> Path:
    """Writes the adapters of `embedder` to `out` in PEFT's format.

    `PeftModel.from_pretrained(AutoModel.from_pretrained(base), out)` is the adapted encoder. The folder is also a
    sentence-transformers model: it has pooling, the trained layer norm and dense layers, normalisation, prompts and
    tokenizer, so that `SentenceTransformer(out)` gives the embeddings of `embedder`.

    ModernBERT has one kernel for queries, keys and values, and one for gate and values. Their adapters are fused
    exactly: A stacked, B block-diagonal, with rank and alpha multiplied by the number of parts.

    Args:
      embedder: the model with separate adapters, as from `loading.load_towers`.
      out: the folder; must not exist, or be empty.
      base: the model that was adapted: a Hugging Face folder, which is checked, or a name of the Hub, which is not;
        `config.init_from` when None.

    Returns: `out`, as an absolute path.
    Raises: UserError if the model has no adapters, `base` is a folder with another encoder than the adapted one, or
      `out` is not empty.
    """
    config = embedder.config
    if config.lora is None or LORA not in embedder.params:
        raise UserError("the model has no adapters (it was trained without model.lora): export it without --adapter")
    base = base or config.init_from
    if base is None:
        raise UserError("the adapters need the name of the model that they belong to (--base)")
    check_exportable(config)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), jax.device_get(embedder.params))
    base, revision = _check_base(base, config, params)
    modules = _modules(config, params[LORA])
    tensors = {name: tensor for one in modules.items() for name, tensor in _tensors(*one, config)}
    length = config.longest_input
    out = Path(out).absolute()
    with atomic_directory(out) as folder:
        adapter = _config_json(config.lora, config.encoder.model_type, modules, config.encoder.num_hidden_layers)
        adapter |= {"base_model_name_or_path": base, "revision": revision}
        write_json_files({ADAPTER_CONFIG: adapter, **module_files(config, length)}, folder)
        save_tensors(tensors, folder / ADAPTER)
        save_head(config, params, folder)
        token_types = getattr(config.encoder, "type_vocab_size", 1) > 1
        save_tokenizer(embedder.tokenizer, folder, length, token_types=token_types)
        (folder / "README.md").write_text(CARD.format(base=hub.base_name(base)), encoding="utf-8")
        _verify(folder, config, params, merge(config, params))
    return out


def _verify(folder: Path, config: ModelConfig, params: Any, merged: Any) -> None:
    """Reads the folder as PEFT does, and checks that every tensor of the encoder equals the merged one.

    Raises: UserError.
    """
    written = read_adapter(folder).deltas
    tensors, wanted = (encoder_to_tensors(tree["encoder"], config.encoder) for tree in (params, merged))
    for name, tensor in tensors.items():
        if (delta := written.pop(name, None)) is not None:
            tensor = tensor + delta()
        difference = np.abs(tensor - wanted[name]).max()
        if difference > TOLERANCE * max(np.abs(wanted[name]).max(), 1.0):
            raise UserError(f"{folder}: {name} with its adapter differs from the trained model by {difference:.1e}")
    assert not written


def _check_base(base: str, config: ModelConfig, params: Any) -> tuple[str, str | None]:
    """Name and revision to record for the base; a folder must contain the frozen weights of `params`."""
    if named := hub.parse(base):
        return named
    folder = Path(base).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"{base}: neither a folder nor a name of the Hub: name the model that was adapted with --base")
    if not (folder / "modules.json").exists() and not (folder / "config.json").exists():
        raise UserError(
            f"{folder}: not a Hugging Face folder, so PEFT cannot load it: export it (`jaxemb export {base} FOLDER`) "
            "and name the export with --base"
        )
    there = load_model(folder)
    if there.config.encoder.model_type != config.encoder.model_type:
        raise UserError(f"{folder}: a {there.config.encoder.model_type}, not the model that was adapted")
    settings = dump_kinds(there.config.encoder, EMBEDDING_KINDS)
    for key, value in dump_kinds(config.encoder, EMBEDDING_KINDS).items():
        if key not in _OF_VOCABULARY and settings[key] != value:
            raise UserError(
                f"{folder}: not the model that was adapted: {key} is {settings[key]!r} there, not {value!r}"
            )
    ours = encoder_to_tensors(params["encoder"], config.encoder)
    theirs = encoder_to_tensors(jax.device_get(there.params["encoder"]), there.config.encoder)
    for name, tensor in ours.items():
        if name not in theirs or not np.array_equal(tensor, theirs[name]):
            raise UserError(
                f"{folder}: not the model that was adapted: the tensor {name} differs; name that model with --base"
            )
    return str(read_modules(folder).transformer), None


def _modules(config: ModelConfig, adapters: Mapping[str, Any]) -> dict[str, _Module]:
    """PEFT's modules with adapters, by name (`{layer}` stands for the number of the layer), in the family's order."""
    modules: dict[str, _Module] = {}
    for entry in FAMILIES[config.encoder.model_type].table:
        if entry.path[-1] == "kernel":
            module = modules.setdefault(entry.name.removesuffix(".weight"), _Module())
            if (path := "/".join(("encoder", *entry.path))) in adapters:
                module.adapters[len(module.entries)] = adapters[path]
            module.entries.append(entry)
    return {name: module for name, module in modules.items() if module.adapters}


def _tensors(name: str, module: _Module, config: ModelConfig) -> Iterator[tuple[str, np.ndarray]]:
    """PEFT's tensors of a module: `lora_A` [k r, in] and `lora_B` [out, k r] of each layer, for k adapted parts."""
    parts = len(module.entries)
    for layer in range(config.encoder.num_hidden_layers):
        a = np.concatenate([adapter["a"][layer].T for adapter in module.adapters.values()])
        rank, outputs = next(iter(module.adapters.values()))["b"][layer].shape
        b = np.zeros((parts, outputs, len(module.adapters), rank), np.float32)
        for column, (part, adapter) in enumerate(module.adapters.items()):
            b[part, :, column] = adapter["b"][layer].T
        prefix = f"base_model.model.{name.format(layer=layer)}"
        yield f"{prefix}.lora_A.weight", a
        yield f"{prefix}.lora_B.weight", b.reshape(parts * outputs, -1)


def _config_json(lora: LoraConfig, family: str, modules: Mapping[str, _Module], layers: int) -> dict[str, Any]:
    """`adapter_config.json`. A fused module of k adapted parts has k times the rank and alpha, so the same scale."""
    alpha = int(lora.alpha) if lora.alpha.is_integer() else lora.alpha
    several = {name: len(module.adapters) for name, module in modules.items() if len(module.adapters) > 1}
    short = {name: _short_names(name, modules, family, layers) for name in modules}
    return {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "r": lora.rank,
        "lora_alpha": alpha,
        "target_modules": list(dict.fromkeys(one for names in short.values() for one in names)),
        "rank_pattern": {one: count * lora.rank for name, count in several.items() for one in short[name]},
        "alpha_pattern": {one: count * alpha for name, count in several.items() for one in short[name]},
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "inference_mode": True,
    }


def _short_names(name: str, modules: Mapping[str, _Module], family: str, layers: int) -> list[str]:
    """The shortest suffix of a module's name that no module without adapters has; otherwise the name in every layer.

    PEFT adapts every module whose name has the suffix: `output.dense` would include the one in BERT's attention.
    """
    names = FAMILIES[family]
    others = {entry.name.removesuffix(".weight") for entry in names.table} - modules.keys()
    others |= {"pooler.dense"} if names.pooler else set()
    words = name.split("{layer}.")[-1].split(".")
    for count in range(1, len(words) + 1):
        end = ".".join(words[-count:])
        if not any(f".{other}".endswith(f".{end}") for other in others):
            return [end]
    return [name.format(layer=layer) for layer in range(layers)]
