"""Which settings the user gave, and which have their default value: a given setting is never overruled silently.

Pydantic records it in `model_fields_set` when a config is made in Python or read from a file. Code that rewrites a
config (flags, a run that fills in what its tokenizer decides) must use the functions here to preserve it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

T = TypeVar("T", bound=BaseModel)


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted paths; a list is one value.

    >>> flat({"model": {"pooling": "cls", "encoder": {}}, "steps": 3})
    {'model.pooling': 'cls', 'model.encoder': {}, 'steps': 3}
    """
    if isinstance(values, Mapping) and values:
        return {k: v for name, value in values.items() for k, v in flat(value, f"{prefix}{name}.").items()}
    return {prefix.rstrip("."): values}


def given_paths(settings: BaseModel, prefix: str = "") -> set[str]:
    """Dotted paths of the settings that the user gave.

    >>> from jaxemb.config import ModelConfig
    >>> sorted(given_paths(ModelConfig.model_validate({"pooling": "cls", "encoder": {"num_hidden_layers": 12}})))
    ['encoder.num_hidden_layers', 'pooling']
    """
    paths: set[str] = set()
    for name in settings.model_fields_set:
        value, path = getattr(settings, name), f"{prefix}{name}"
        inner = given_paths(value, f"{path}.") if isinstance(value, BaseModel) else set()
        paths |= inner or {path}
    return paths


def with_given(settings: T, paths: Iterable[str]) -> T:
    """The same settings; only those at `paths` count as given."""
    values: dict[str, Any] = dict(settings)
    inside: dict[str, set[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        inside.setdefault(name, set()).add(rest)
    for name, value in values.items():
        if isinstance(value, BaseModel):
            values[name] = with_given(value, inside.get(name, set()))
    return type(settings).model_construct(inside.keys() & values.keys(), **values)


def paths_of_flags(flags: Sequence[str]) -> set[str]:
    """Dotted paths of the settings that command-line flags name.

    >>> paths_of_flags(["--model.encoder.hidden-dropout-prob", "0.1", "--mesh.fsdp=2"]) == {
    ...     "model.encoder.hidden_dropout_prob", "mesh.fsdp"
    ... }
    True
    """
    return {flag[2:].partition("=")[0].replace("-", "_") for flag in flags if flag.startswith("--")}


def not_default(settings: BaseModel, prefix: str = "") -> set[str]:
    """Dotted paths of the settings whose value is not their default."""
    paths: set[str] = set()
    for name, field in type(settings).model_fields.items():
        value, path = getattr(settings, name), f"{prefix}{name}"
        if isinstance(value, BaseModel):
            paths |= not_default(value, f"{path}.")
        elif value != field.get_default(call_default_factory=True):
            paths.add(path)
    return paths
