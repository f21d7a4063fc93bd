"""Reads PEFT's LoRA adapters without PEFT: a weight W of the base model becomes W + scale * B A."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from jaxemb.errors import UserError
from jaxemb.huggingface import hub
from jaxemb.huggingface.files.keys import shorten
from jaxemb.huggingface.files.modules import read_modules
from jaxemb.huggingface.files.tensors import open_file, read_object
from jaxemb.huggingface.files.weights import Names, canonical, is_left_over

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
Readers = Mapping[str, Callable[[], np.ndarray]]
_READ = frozenset(
    {"peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "rank_pattern", "alpha_pattern",
     "use_rslora", "bias", "init_lora_weights"}
)  # fmt: skip
_HARMLESS = frozenset(
    {"task_type", "auto_mapping", "peft_version", "inference_mode", "lora_dropout", "fan_in_fan_out", "target_modules",
     "exclude_modules", "layers_to_transform", "layers_pattern", "megatron_core", "qalora_group_size",
     "runtime_config", "ensure_weight_tying"}
)  # fmt: skip
"""Keys that are ignored: the tensors show which modules have adapters, and PEFT treats `fan_in_fan_out` as false in
linear layers."""
_INITS = (True, False, None, "gaussian", "orthogonal")
"""Initializations of A and B that leave the base model unchanged."""
_MERGE = "merge it into its base with PEFT (`merge_and_unload`), and load the merged model"
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>A|B)(?:\.weight)?")


@dataclass(frozen=True)
class Adapter:
    """A folder with adapters."""

    folder: Path
    base: str
    """The base model: a folder or a name of the Hub."""
    revision: str | None
    deltas: dict[str, Callable[[], np.ndarray]]
    """The changes of the base model's weights, by name."""

    def base_folder(self) -> Path:
        """The folder of the base model's config.json and weights, which may be in the Hub's cache; uses no network.

        Raises: UserError if there is none.
        """
        path = self.folder / ADAPTER_CONFIG
        named = hub.parse(self.base)
        folder = Path(self.base).expanduser() if named is None else hub.cached(named[0], self.revision or named[1])
        if folder is None or not folder.is_dir():
            fetch = "" if named is None else f" in the Hub's cache (`hf download {named[0]}` fetches it)"
            raise UserError(
                f"{path}: the base model {self.base!r} (base_model_name_or_path) is not there{fetch}; these adapters "
                "need it: put it there, or write the path of its folder into the file"
            )
        return folder if (folder / "config.json").exists() else read_modules(folder).transformer

    def merge(self, readers: Readers, names: Names) -> dict[str, Callable[[], np.ndarray]]:
        """The base model's tensors with the adapters added.

        Raises: UserError if there is an adapter for a tensor that the base model does not have.
        """
        merged, own_names = dict(readers), {canonical(name, names.prefix): name for name in readers}
        for name, delta in self.deltas.items():
            own = canonical(name, names.prefix)
            if own in own_names:
                merged[own_names[own]] = partial(_sum, readers[own_names[own]], delta, f"{self.folder}: {name}")
            elif not is_left_over(own, names):
                raise UserError(f"{self.folder}: an adapter of {name}, which the base model {self.base} does not have")
        return merged


def _sum(read: Callable[[], np.ndarray], delta: Callable[[], np.ndarray], where: str) -> Float32[np.ndarray, "O I"]:
    weight, change = read(), delta()
    if weight.shape != change.shape:
        raise UserError(
            f"{where}: the adapter has shape {list(change.shape)}, the base model's weight {list(weight.shape)}"
        )
    return np.asarray(weight + change, np.float32)


def is_adapter(folder: Path) -> bool:
    """Whether the folder has adapters instead of a model."""
    return (folder / ADAPTER_CONFIG).exists()


def read_adapter(folder: Path) -> Adapter:
    """Reads adapter_config.json and the adapters.

    Raises: UserError if a file is missing or damaged, or for anything but LoRA of linear layers and embeddings.
    """
    path = folder / ADAPTER_CONFIG
    config = read_object(path)
    _check(path, config)
    if not (folder / ADAPTER).exists():
        pickled = (folder / "adapter_model.bin").exists()
        what = "only there as a pickle, which can run arbitrary code" if pickled else f"not there ({ADAPTER})"
        raise UserError(f"{folder}: the adapters are {what}; {_MERGE}" if pickled else f"{folder}: they are {what}")
    found: dict[str, dict[str, Callable[[], np.ndarray]]] = {}
    embeddings = set()
    for name, read in open_file(folder / ADAPTER).items():
        if (match := _TENSOR.fullmatch(name)) is None:
            raise UserError(f"{folder / ADAPTER}: {name} is not a LoRA adapter that jaxemb knows; {_MERGE}")
        found.setdefault(match["module"], {})[match["side"]] = read
        embeddings |= {match["module"]} if match["embedding"] else set()
    deltas: dict[str, Callable[[], np.ndarray]] = {}
    for module, sides in found.items():
        if sides.keys() != {"A", "B"}:
            raise UserError(f"{folder / ADAPTER}: {module} has {'A' if 'A' in sides else 'B'} only, not A and B")
        rank = _by_pattern(config.get("rank_pattern"), module, config.get("r", 8))
        alpha = _by_pattern(config.get("alpha_pattern"), module, config.get("lora_alpha", 8))
        if type(rank) is not int or rank < 1 or not isinstance(alpha, int | float):
            raise UserError(f"{path}: rank {rank!r} and alpha {alpha!r} of {module} must be numbers, the rank positive")
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        delta = _Delta(sides["A"], sides["B"], rank, scale, module in embeddings, f"{folder / ADAPTER}: {module}")
        deltas[f"{module}.weight"] = delta
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base or not isinstance(revision, str | None):
        raise UserError(f"{path}: base_model_name_or_path {base!r} (revision {revision!r}) must name the base model")
    return Adapter(folder, base, revision, deltas)


@dataclass(frozen=True)
class _Delta:
    """scale * B A; for an embedding, transposed."""

    a: Callable[[], np.ndarray]
    b: Callable[[], np.ndarray]
    rank: int
    scale: float
    embedding: bool
    where: str

    def __call__(self) -> Float32[np.ndarray, "O I"]:
        a, b = self.a(), self.b()
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != self.rank or b.shape[1] != self.rank:
            raise UserError(
                f"{self.where}: A has shape {list(a.shape)} and B {list(b.shape)}; adapter_config.json says rank "
                f"{self.rank}"
            )
        delta = np.float32(self.scale) * (b @ a)
        return delta.T if self.embedding else delta


def _by_pattern(patterns: Any, module: str, otherwise: Any) -> Any:
    """The value of the first pattern that matches the module's whole name, or a whole suffix of it."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return otherwise


def _are_patterns(patterns: Any) -> bool:
    try:
        return isinstance(patterns, Mapping) and all(re.compile(pattern) for pattern in patterns)
    except re.error:
        return False


def _check(path: Path, config: Mapping[str, Any]) -> None:
    """Refuses anything but plain LoRA. PEFT writes all its settings; those that are off are null, false or empty."""
    if config.get("peft_type") != "LORA":
        raise UserError(f"{path}: peft_type {config.get('peft_type')!r} is not supported; supported: 'LORA'; {_MERGE}")
    wrong = [key for key, value in config.items() if value and key not in _READ | _HARMLESS]
    wrong += ["bias"] if config.get("bias", "none") not in ("none", None) else []
    wrong += ["init_lora_weights"] if config.get("init_lora_weights", True) not in _INITS else []
    for key in ("rank_pattern", "alpha_pattern"):
        wrong += [key] if not _are_patterns(config.get(key) or {}) else []
    if wrong:
        raise UserError(f"{path}: {wrong[0]} {shorten(config[wrong[0]])} is not supported; {_MERGE}")
