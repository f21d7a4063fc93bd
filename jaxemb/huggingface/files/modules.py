"""The files of a sentence-transformers model: read in the old and new schema, written in the old one.

Readers older than sentence-transformers 5.4, and vLLM, know only the old names.
"""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from jaxemb.config import DenseConfig, ModelConfig
from jaxemb.config.model import PoolingMode
from jaxemb.encoding.towers import unchosen
from jaxemb.errors import UserError
from jaxemb.huggingface.files.keys import check_keys
from jaxemb.huggingface.files.module_settings import (
    ACTIVATIONS,
    POOLING_FLAGS,
    Use,
    check_layer_norm,
    check_normalize,
    read_dense,
    read_pooling,
    read_transformer,
    read_use,
)
from jaxemb.huggingface.files.tensors import read_json, read_object
from jaxemb.models import Side

KINDS = ("Transformer", "Pooling", "LayerNorm", "Dense", "Normalize")
ROUTER = "router_config.json"
ROUTES: dict[Side, str] = {"anchor": "query", "positive": "document"}
"""Names of the towers in sentence-transformers: `encode_query` and `encode_document` choose them."""


@dataclass(frozen=True)
class DenseModule:
    """A dense layer, and the layer norm after it, if there is one."""

    config: DenseConfig
    folder: Path
    inputs: int
    norm_folder: Path | None = None


@dataclass(frozen=True)
class Modules:
    """The settings in these files: everything except the encoder's sizes."""

    transformer: Path
    """Folder of config.json, weights and tokenizer."""
    pooling: PoolingMode | tuple[PoolingMode, ...] = "mean"
    include_prompt: bool = True
    layer_norm_folder: Path | None = None
    """Folder of the layer norm after pooling."""
    dense: tuple[DenseModule, ...] = ()
    normalize: bool = True
    use: Use = field(default_factory=Use)
    max_seq_length: int | None = None
    """Longest input in tokens; None if the tokenizer has it."""
    settings: Path | None = None
    """The file with `max_seq_length` and `lowercase`."""
    lowercase: bool = False
    """Whether texts are lower-cased, whatever the tokenizer does."""

    @property
    def dense_config(self) -> DenseConfig | tuple[DenseConfig, ...] | None:
        """The dense layers, as in `ModelConfig.dense`."""
        configs = tuple(dense.config for dense in self.dense)
        return configs if len(configs) > 1 else configs[0] if configs else None


def has_towers(folder: Path) -> bool:
    """Whether the folder is a sentence-transformers `Router`: one model for queries, one for documents.

    Raises: UserError if modules.json is broken.
    """
    path = folder / "modules.json"
    return path.exists() and [_kind(entry) for entry in _entries(path)] == ["Router"]


def read_modules(folder: Path, tower: Side | None = None) -> Modules:
    """Reads modules.json and the files it names; mean pooling and L2 normalisation for a folder without it.

    Args:
      folder: the folder of the model.
      tower: which model of a `Router` to read: the one for queries or the one for documents.

    Raises: UsageError for a `Router` without `tower`; UserError if a file is missing or broken, or names a module, an
      order or a setting that is not supported.
    """
    if not (folder / "modules.json").exists():
        return Modules(folder)
    modules = _module_list(folder / "modules.json", tower)
    (_, transformer), (_, pooling), *rest = modules
    settings, length, lowercase = read_transformer(transformer)
    modes, include_prompt = read_pooling(pooling / "config.json")
    head = _read_head(rest)
    if head is None:
        raise UserError(
            f"{folder / 'modules.json'}: the order {' -> '.join(kind for kind, _ in modules)} is not supported; "
            "supported: Transformer -> Pooling, then optionally LayerNorm, any number of Dense layers, each with an "
            "optional LayerNorm and Normalize after it, and optionally Normalize at the end"
        )
    return replace(
        head,
        transformer=transformer,
        pooling=modes,
        include_prompt=include_prompt,
        use=read_use(folder / "config_sentence_transformers.json"),
        max_seq_length=length,
        settings=settings,
        lowercase=lowercase,
    )


def _read_head(modules: list[tuple[str, Path]]) -> Modules | None:
    """The modules after pooling; None for an order that is not supported."""
    norm_folder: Path | None = None
    dense: list[DenseModule] = []
    normalize = False
    for kind, module_folder in modules:
        path = module_folder / "config.json"
        if normalize and (kind != "Dense" or not dense):
            return None
        if kind == "Dense":
            if normalize:
                dense[-1] = replace(dense[-1], config=dense[-1].config.model_copy(update={"normalize": True}))
            config, inputs = read_dense(path)
            dense.append(DenseModule(config, module_folder, inputs))
            normalize = False
        elif kind == "LayerNorm" and dense and dense[-1].norm_folder is None:
            check_layer_norm(path, dense[-1].config.out_features or 0)
            config = dense[-1].config.model_copy(update={"layer_norm": True})
            dense[-1] = replace(dense[-1], config=config, norm_folder=module_folder)
        elif kind == "LayerNorm" and not dense and norm_folder is None:
            norm_folder = module_folder
        elif kind == "Normalize":
            check_normalize(path)
            normalize = True
        else:
            return None
    return Modules(Path(), layer_norm_folder=norm_folder, dense=tuple(dense), normalize=normalize)


def _kind(entry: dict[str, Any]) -> str:
    return str(entry["type"].rsplit(".", 1)[-1])


def _entries(path: Path) -> list[dict[str, Any]]:
    """The entries of modules.json."""
    entries = read_json(path)
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("type"), str) and isinstance(entry.get("path"), str)
        for entry in entries
    ):
        raise UserError(f"{path} must hold a list of objects with `type` and `path`")
    for entry in entries:
        check_keys(path, entry, ("type", "path"), plain={"kwargs": ([],)}, harmless=re.compile("idx|name"))
    return entries


def _route(path: Path, tower: Side) -> list[dict[str, Any]]:
    """The modules of one tower, as entries of modules.json."""
    config = read_object(path)
    check_keys(path, config, ("types", "structure", "parameters"))
    if isinstance(parameters := config.get("parameters") or {}, dict):  # `tower` chooses the route
        plain: dict[str, tuple[Any, ...]] = {"route_mappings": ({},)}
        check_keys(path, parameters, (), plain=plain, harmless=re.compile("default_route|allow_empty_key"))
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise UserError(f"{path} must hold objects `types` and `structure`")
    if structure.keys() != set(ROUTES.values()):
        routes = ", ".join(map(repr, structure)) or "none"
        raise UserError(f"{path}: the routes {routes} are not supported; supported: 'query' and 'document'")
    names = structure[ROUTES[tower]]
    if not isinstance(names, list) or not all(isinstance(types.get(name), str) for name in map(str, names)):
        raise UserError(f"{path}: `types` must have the type of each module of {ROUTES[tower]!r}")
    return [{"type": types[name], "path": name} for name in map(str, names)]


def _module_list(path: Path, tower: Side | None) -> list[tuple[str, Path]]:
    """The kind and the folder of each module, in order, starting with a Transformer and a Pooling."""
    entries = _entries(path)
    if [_kind(entry) for entry in entries] == ["Router"]:
        if tower is None:
            raise unchosen(path.parent)
        path = path.parent / entries[0]["path"] / ROUTER
        entries = _route(path, tower)
    kinds = []
    for entry in entries:
        kind = _kind(entry)
        if kind not in KINDS or not entry["type"].startswith("sentence_transformers."):
            raise UserError(f"{path}: module {entry['type']!r} is not supported; supported: {', '.join(KINDS)}")
        kinds.append(kind)
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise UserError(
            f"{path}: the order {' -> '.join(kinds) or '(none)'} is not supported; supported: Transformer -> Pooling, "
            "and what follows them"
        )
    return [(kind, path.parent / entry["path"]) for kind, entry in zip(kinds, entries, strict=True)]


def check_exportable(config: ModelConfig) -> None:
    """Refuses a pooling that sentence-transformers does not have.

    Raises: UserError.
    """
    for mode in config.poolings:
        if mode not in POOLING_FLAGS:
            raise UserError(
                f"model.pooling: sentence-transformers has no {mode} pooling, so the model cannot be exported; choose "
                f"from {', '.join(POOLING_FLAGS)}, or set export.enabled to false to train without an export"
            )


def default_prompt_name(config: ModelConfig) -> str:
    """The name of `config.prompt` in the exported folder."""
    return next((prompt.name for prompt in config.prompts if prompt.text == config.prompt), "default")


def module_files(config: ModelConfig, max_seq_length: int) -> dict[str, Any]:
    """The JSON files of a sentence-transformers folder in the old schema, by their relative paths."""
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")]
    # Readers older than these poolings refuse their flags, so they are written only if they are true.
    written = [mode for mode in POOLING_FLAGS if mode in config.poolings or mode not in ("weightedmean", "lasttoken")]
    default = default_prompt_name(config)
    prompts = {"default": config.prompt} if config.prompt else {}
    prompts = {prompt.name: prompt.text for prompt in config.prompts} | (prompts if default == "default" else {})
    files: dict[str, Any] = {
        "1_Pooling/config.json": {
            "word_embedding_dimension": config.encoder.hidden_size,
            **{POOLING_FLAGS[mode]: mode in config.poolings for mode in written},
            **({} if config.include_prompt else {"include_prompt": False}),
        },
        "sentence_bert_config.json": {"max_seq_length": max_seq_length, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": prompts,
            "default_prompt_name": default if config.prompt else None,
            "similarity_fn_name": config.similarity,
            **({} if config.truncate_dim is None else {"truncate_dim": config.truncate_dim}),
        },
    }
    for module in head_modules(config):
        kinds.append((module.kind, module.folder))
        if module.kind == "LayerNorm":
            files[f"{module.folder}/config.json"] = {"dimension": module.inputs}
        elif module.kind == "Dense" and module.dense is not None:
            layer = config.dense_layers[module.dense]
            files[f"{module.folder}/config.json"] = {
                "in_features": module.inputs,
                "out_features": layer.out_features,
                "bias": layer.bias,
                "activation_function": {name: path for path, name in ACTIVATIONS.items()}[layer.activation],
            }
    files["modules.json"] = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(kinds)
    ]
    return files


def router_files(tower: dict[str, Any]) -> dict[str, Any]:
    """The JSON files of a `Router` over the folders `anchor` and `positive`, which have their own `module_files`."""
    modules = [(Path(entry["path"]), entry["type"]) for entry in tower["modules.json"]]
    return {
        "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}],
        ROUTER: {
            "types": {(side / path).as_posix(): kind for side in map(Path, ROUTES) for path, kind in modules},
            "structure": {
                route: [(Path(side) / path).as_posix() for path, _ in modules] for side, route in ROUTES.items()
            },
            "parameters": {"default_route": ROUTES["anchor"], "allow_empty_key": True},
        },
        "config_sentence_transformers.json": tower["config_sentence_transformers.json"],
    }


class HeadModule(NamedTuple):
    """A module after pooling."""

    kind: str
    folder: str
    inputs: int
    """Width of its input."""
    dense: int | None = None
    """Number of the dense layer that it is, or directly belongs to; None otherwise."""


def head_modules(config: ModelConfig) -> list[HeadModule]:
    """The modules after pooling, in order, with their folders."""
    found: list[HeadModule] = []

    def add(kind: str, inputs: int, dense: int | None = None) -> None:
        found.append(HeadModule(kind, f"{len(found) + 2}_{kind}", inputs, dense))

    width = config.pooled_size
    if config.layer_norm:
        add("LayerNorm", width)
    for number, layer in enumerate(config.dense_layers):
        add("Dense", width, number)
        width = layer.out_features or width
        if layer.layer_norm:
            add("LayerNorm", width, number)
        if layer.normalize:
            add("Normalize", width, number)
    if config.normalize:
        add("Normalize", width)
    return found


def write_json_files(files: dict[str, Any], folder: Path) -> None:
    """Writes each file as indented UTF-8 JSON, and creates folders as needed."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
