"""The rotary settings of config.json: transformers 4's keys, and `rope_parameters`, which transformers 5 writes."""

from pathlib import Path
from typing import Any

from jaxemb.config import ModernBertConfig
from jaxemb.errors import UserError

QWEN3_KEYS = ("rope_theta", "rope_scaling", "rope_parameters", "layer_types")
GLOBAL_THETA: float = ModernBertConfig.model_fields["global_rope_theta"].default
MODERNBERT_KEYS = (
    "global_rope_theta", "local_rope_theta", "rope_scaling", "rope_parameters", "layer_types", "sliding_window",
)  # fmt: skip


def qwen3_rope(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """`rope_theta`, under any of its keys; `rope_scaling` replaces `rope_parameters`, as in transformers."""
    group = _group(raw.get("rope_scaling") or raw.get("rope_parameters") or {}, path)
    given = {"rope_theta": raw["rope_theta"]} if "rope_theta" in raw else {}
    return given | {name: theta for name, theta in group.items() if name == "rope_theta"}


def modernbert_rope(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """`global_rope_theta` and `local_rope_theta`, under any of their keys; a null local value means the global one."""
    parameters, scaling = raw.get("rope_parameters") or {}, _group(raw.get("rope_scaling") or {}, path)
    by_layer = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}
    if not isinstance(parameters, dict) or not parameters.keys() <= by_layer.keys():
        raise UserError(
            f"{path}: rope_parameters {parameters!r} are not supported; supported: one object for each of "
            f"{' and '.join(by_layer)}"
        )
    found = {}
    for layer, name in by_layer.items():
        group = _group(parameters.get(layer) or {}, path) | scaling
        if "rope_theta" in group:
            found[name] = group["rope_theta"]
        elif name in raw:
            found[name] = raw[name]
    if found.get("local_rope_theta", 0) is None:
        found["local_rope_theta"] = found.get("global_rope_theta", GLOBAL_THETA)
    return found


def _group(group: Any, path: Path) -> dict[str, Any]:
    """Settings of one kind of layer; they must describe plain rotary positions."""
    known = {"rope_theta", "rope_type", "type"}
    if not isinstance(group, dict) or group.get("rope_type", group.get("type", "default")) != "default":
        raise UserError(f"{path}: rotary positions {group!r} are not supported; supported: rope_type 'default'")
    if others := [key for key, value in group.items() if key not in known and value is not None]:
        raise UserError(f"{path}: rotary positions {group!r} are not supported: {others[0]} is not known here")
    return group
