"""The files that make a folder a sentence-transformers model: read in the old and new schema, written in the old.

Readers older than sentence-transformers 5.4, and vLLM, know only the old names.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jaxemb.config import DenseConfig, ModelConfig, Prompt
from jaxemb.config.model import PoolingMode
from jaxemb.errors import UserError
from jaxemb.huggingface.tensors import read_json, read_object
from jaxemb.models import Side, embedding_size
from jaxemb.models.towers import unchosen

ORDER = ("Transformer", "Pooling", "LayerNorm", "Dense", "Normalize")  # the last three may be absent
LAYER_NORM_FOLDER = "2_LayerNorm"
ROUTER = "router_config.json"
ROUTES: dict[Side, str] = {"anchor": "query", "positive": "document"}
"""What sentence-transformers calls the towers: `encode_query` and `encode_document` choose them."""
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
# Settings of the Transformer module that would change embeddings, and the values that do not.
PLAIN_TRANSFORMER = {
    "transformer_task": ("feature-extraction", None),
    "processing_kwargs": ({}, None),
    "query_expansion": (None,),
    "tokenizer_args": ({}, None),
}


@dataclass(frozen=True)
class Modules:
    """What the files say about everything but the encoder's sizes."""

    transformer: Path
    """Folder of config.json, weights and tokenizer."""
    pooling: PoolingMode | tuple[PoolingMode, ...] = "mean"
    include_prompt: bool = True
    layer_norm_folder: Path | None = None
    dense: DenseConfig | None = None
    dense_folder: Path | None = None
    dense_inputs: int | None = None
    normalize: bool = True
    prompt: str = ""
    prompts: tuple[Prompt, ...] = ()
    max_seq_length: int | None = None
    """None where the tokenizer says it."""
    lowercase: bool = False
    """Whether texts are lower-cased, whatever the tokenizer does."""


def has_towers(folder: Path) -> bool:
    """Whether the folder is a sentence-transformers `Router`: one model for queries, one for documents.

    Raises: UserError if modules.json is broken.
    """
    path = folder / "modules.json"
    return path.exists() and [_kind(entry) for entry in _entries(path)] == ["Router"]


def read_modules(folder: Path, tower: Side | None = None) -> Modules:
    """Reads modules.json and the files it names; mean pooling and L2 normalisation for a folder without it.

    Args:
      folder: of the model.
      tower: which model of a `Router` is read: that for queries or that for documents.

    Raises: UsageError for a `Router` without `tower`; UserError if a file is missing or broken, or names a module, an
      order or a setting that is not supported.
    """
    if not (folder / "modules.json").exists():
        return Modules(folder)
    places = _places(folder / "modules.json", tower)
    dense_folder = places.get("Dense")
    dense, inputs = _read_dense(dense_folder / "config.json") if dense_folder else (None, None)
    if "Normalize" in places and (places["Normalize"] / "config.json").exists():
        path = places["Normalize"] / "config.json"
        _check_names(path, read_object(path))
    length, lowercase = _read_transformer(places["Transformer"] / "sentence_bert_config.json")
    prompt, prompts = _read_prompts(folder / "config_sentence_transformers.json")
    pooling, include_prompt = _read_pooling(places["Pooling"] / "config.json")
    return Modules(
        transformer=places["Transformer"],
        pooling=pooling,
        include_prompt=include_prompt,
        layer_norm_folder=places.get("LayerNorm"),
        dense=dense,
        dense_folder=dense_folder,
        dense_inputs=inputs,
        normalize="Normalize" in places,
        prompt=prompt,
        prompts=prompts,
        max_seq_length=length,
        lowercase=lowercase,
    )


def _kind(entry: dict[str, Any]) -> str:
    return str(entry["type"].rsplit(".", 1)[-1])


def _entries(path: Path) -> list[dict[str, Any]]:
    """What modules.json lists."""
    entries = read_json(path)
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("type"), str) and isinstance(entry.get("path"), str)
        for entry in entries
    ):
        raise UserError(f"{path} must hold a list of objects with `type` and `path`")
    return entries


def _route(path: Path, tower: Side) -> list[dict[str, Any]]:
    """The modules of one tower, as modules.json would list them."""
    config = read_object(path)
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


def _places(path: Path, tower: Side | None) -> dict[str, Path]:
    """The folder of each module; checks their kinds and order."""
    entries = _entries(path)
    if [_kind(entry) for entry in entries] == ["Router"]:
        if tower is None:
            raise unchosen(path.parent)
        path = path.parent / entries[0]["path"] / ROUTER
        entries = _route(path, tower)
    kinds = []
    for entry in entries:
        kind = _kind(entry)
        if kind not in ORDER or not entry["type"].startswith("sentence_transformers."):
            raise UserError(f"{path}: module {entry['type']!r} is not supported; supported: {', '.join(ORDER)}")
        kinds.append(kind)
    wanted = [kind for kind in ORDER if kind in kinds]
    if kinds != wanted or kinds[:2] != ["Transformer", "Pooling"]:
        raise UserError(
            f"{path}: the order {' -> '.join(kinds) or '(none)'} is not supported; "
            "supported: Transformer -> Pooling, then at most one each of LayerNorm, Dense and Normalize"
        )
    return {kind: path.parent / entry["path"] for kind, entry in zip(kinds, entries, strict=True)}


def _read_transformer(path: Path) -> tuple[int | None, bool]:
    config = read_object(path) if path.exists() else {}
    for key, plain in PLAIN_TRANSFORMER.items():
        if config.get(key) not in plain:
            raise UserError(f"{path}: {key} {config[key]!r} is not supported; supported: {plain[0]!r}")
    length = config.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise UserError(f"{path}: max_seq_length {length!r} must be a positive number of tokens")
    return length, bool(config.get("do_lower_case"))


def _read_pooling(path: Path) -> tuple[PoolingMode | tuple[PoolingMode, ...], bool]:
    config = read_object(path)
    if "pooling_mode" in config:  # the new schema: a name or a list of names
        value = config["pooling_mode"]
        modes = [value] if isinstance(value, str) else list(value) if isinstance(value, list) else [value]
    else:
        modes = [mode for mode, flag in POOLING_FLAGS.items() if config.get(flag)] or ["mean"]
    if modes != [mode for mode in POOLING_FLAGS if mode in modes]:
        raise UserError(
            f"{path}: pooling {' + '.join(map(str, modes))} is not supported; supported, in this order: "
            f"{', '.join(POOLING_FLAGS)}"
        )
    include_prompt = config.get("include_prompt", True)
    if not isinstance(include_prompt, bool):
        raise UserError(f"{path}: include_prompt {include_prompt!r} must be true or false")
    return cast(Any, modes[0] if len(modes) == 1 else tuple(modes)), include_prompt


def _check_names(path: Path, config: dict[str, Any]) -> None:
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            raise UserError(f"{path}: {key} {config[key]!r} is not supported; supported: 'sentence_embedding'")


def _read_dense(path: Path) -> tuple[DenseConfig, int]:
    config = read_object(path)
    _check_names(path, config)
    if config.get("use_residual"):
        raise UserError(f"{path}: use_residual is not supported")
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise UserError(f"{path}: activation {activation!r} is not supported; supported: {', '.join(ACTIVATIONS)}")
    inputs, outputs = config.get("in_features"), config.get("out_features")
    if type(inputs) is not int or type(outputs) is not int or min(inputs, outputs) < 1:
        raise UserError(f"{path}: in_features and out_features must be positive numbers")
    kind = cast(Any, ACTIVATIONS[activation])
    return DenseConfig(out_features=outputs, activation=kind, bias=bool(config.get("bias", True))), inputs


def _read_prompts(path: Path) -> tuple[str, tuple[Prompt, ...]]:
    """The default prompt, and all that have a name."""
    config = read_object(path) if path.exists() else {}
    if config.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise UserError(f"{path}: model_type {config['model_type']!r} is not supported; supported: SentenceTransformer")
    name, prompts = config.get("default_prompt_name"), config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise UserError(f"{path}: prompts must be an object of texts")
    named = tuple(Prompt(name=key, text=text or "") for key, text in prompts.items())
    if name is None:
        return "", named
    if name not in prompts:
        raise UserError(f"{path}: default_prompt_name {name!r} is not one of its prompts ({', '.join(prompts)})")
    return prompts[name] or "", named


def check_exportable(config: ModelConfig) -> None:
    """Refuses what sentence-transformers has no module for.

    Raises: UserError.
    """
    for mode in config.poolings:
        if mode not in POOLING_FLAGS:
            raise UserError(
                f"model.pooling: sentence-transformers has no {mode}, so that it cannot be exported; there are "
                f"{', '.join(POOLING_FLAGS)} (set export.enabled to false to train without)"
            )
    if getattr(config.encoder, "causal", True) is False:
        raise UserError("model.encoder.causal: a bidirectional Qwen3 cannot be exported: transformers has none")


def default_prompt_name(config: ModelConfig) -> str:
    """What `config.prompt` is called in the exported folder."""
    return next((prompt.name for prompt in config.prompts if prompt.text == config.prompt), "default")


def module_files(config: ModelConfig, max_seq_length: int) -> dict[str, Any]:
    """The JSON files of a sentence-transformers folder in the old schema, by their relative paths."""
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")]
    # Readers older than these poolings refuse their flags, so they are written only where they are true.
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
            "similarity_fn_name": "cosine",
        },
    }
    if config.layer_norm:
        kinds.append(("LayerNorm", LAYER_NORM_FOLDER))
        files[f"{LAYER_NORM_FOLDER}/config.json"] = {"dimension": config.pooled_size}
    if config.dense is not None:
        kinds.append(("Dense", dense_folder(config)))
        files[f"{dense_folder(config)}/config.json"] = {
            "in_features": config.pooled_size,
            "out_features": embedding_size(config),
            "bias": config.dense.bias,
            "activation_function": {name: path for path, name in ACTIVATIONS.items()}[config.dense.activation],
        }
    if config.normalize:
        kinds.append(("Normalize", f"{len(kinds)}_Normalize"))
    files["modules.json"] = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(kinds)
    ]
    return files


def router_files(tower: dict[str, Any]) -> dict[str, Any]:
    """The JSON files of a `Router` over folders `anchor` and `positive` with `module_files` of their own."""
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


def dense_folder(config: ModelConfig) -> str:
    """Folder of the dense layer."""
    return "3_Dense" if config.layer_norm else "2_Dense"


def write_json_files(files: dict[str, Any], folder: Path) -> None:
    """Writes each as indented UTF-8 JSON, making folders as needed."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
