"""Safetensors files, single or sharded, in any floating type; or else old Flax weights. Nothing is unpickled, and torch
is not imported.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jaxemb.errors import UserError
from jaxemb.files import os_errors_of_rust
from jaxemb.huggingface.files.flax_weights import FLAX, read_flax

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
Dtype = Literal["float32", "bfloat16", "float16"]
TYPES: dict[str, Any] = {"float32": np.float32, "bfloat16": jax.numpy.bfloat16, "float16": np.float16}
FLOATS = ("F64", "F32", "F16", "BF16")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises: UserError if it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (ValueError, OSError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise UserError(f"{path} is not readable JSON: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds an object.

    Raises: UserError if it is missing, not JSON or not an object.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object, not {type(content).__name__}")
    return content


def _open(path: Path, framework: str = "np") -> Any:
    try:
        return safe_open(path, framework=framework)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or not a safetensors file ({error}): fetch it again") from None


def _read(path: Path, name: str) -> np.ndarray:
    with _open(path) as file:
        kind = file.get_slice(name).get_dtype()
        if kind not in FLOATS:
            raise UserError(f"{path}: {name} is of type {kind}; supported are {', '.join(FLOATS)}")
        if kind != "BF16":
            return np.asarray(file.get_tensor(name), np.float32)
    with _open(path, "flax") as file:  # NumPy itself has no bfloat16
        return np.asarray(file.get_tensor(name)).astype(np.float32)


def open_tensors(folder: Path) -> dict[str, Callable[[], np.ndarray]]:
    """For each tensor in `model.safetensors` or its shards, or else in `flax_model.msgpack`: a function that reads it
    as float32, under torch's name and in its orientation.

    Raises: UserError if there is no such file, or a file is missing or damaged.
    """
    if (folder / WEIGHTS).exists():
        files = [folder / WEIGHTS]
    elif (folder / INDEX).exists():
        weight_map = read_object(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
            raise UserError(f"{folder / INDEX} has no `weight_map` from tensors to files")
        files = [folder / name for name in sorted(set(weight_map.values()))]
    elif (folder / FLAX).exists():
        return read_flax(folder / FLAX)
    else:
        raise UserError(_no_weights(folder))
    readers: dict[str, Callable[[], np.ndarray]] = {}
    for path in files:
        readers.update(open_file(path))
    return readers


def open_file(path: Path) -> dict[str, Callable[[], np.ndarray]]:
    """For each tensor of a safetensors file, a function that reads it as float32.

    Raises: UserError if the file is missing or damaged.
    """
    with _open(path) as file:
        return {name: partial(_read, path, name) for name in file.keys()}  # noqa: SIM118


def _no_weights(folder: Path) -> str:
    if not any((folder / name).exists() for name in PICKLES):
        return f"{folder / WEIGHTS} is missing"
    return (
        f"{folder} has pickled weights only, which can run arbitrary code. If you trust their source, "
        f"convert them once (needs torch):\n"
        f'  python -c "import torch, safetensors.torch as s; '
        f"w = torch.load('{folder / PICKLES[0]}', weights_only=True); "
        f"s.save_file({{k: v.clone().contiguous() for k, v in w.items()}}, '{folder / WEIGHTS}')\""
    )


def to_dtype(array: np.ndarray, dtype: Dtype) -> np.ndarray:
    """The array rounded to a type, as float32."""
    return np.asarray(array, np.float32).astype(TYPES[dtype]).astype(np.float32)


def save_tensors(tensors: Mapping[str, np.ndarray], path: Path, dtype: Dtype = "float32") -> None:
    """Writes tensors, with the metadata format `pt`, without which transformers refuses the file."""
    with os_errors_of_rust():
        arrays = {name: np.ascontiguousarray(array).astype(TYPES[dtype]) for name, array in tensors.items()}
        save_file(arrays, path, metadata={"format": "pt"})
