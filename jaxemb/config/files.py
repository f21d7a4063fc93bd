"""Reading, overriding and saving a `TrainConfig`: one clear message for every mistake."""

import contextlib
import difflib
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import tyro
import yaml

from jaxemb.config import TrainConfig, shipped
from jaxemb.config.encoder import MODEL_TYPES
from jaxemb.config.explicit import flat, given_paths, not_default, paths_of_flags, with_given
from jaxemb.config.model import ONE, SEVERAL
from jaxemb.errors import UsageError

T = TypeVar("T", bound=pydantic.BaseModel)

RESOLVED = "# the resolved config of a jaxemb run\n"
"""The first line of a run's `config.yaml`."""
FILLED_IN = "filled_in"
_FILLED_IN_NOTE = """# Settings that nobody gave, and their values: from model.init_from, the tokenizer or by default.
# With another model.init_from they may differ. A setting above counts as given once you change it.
"""


class _Loader(yaml.SafeLoader):
    """YAML that reads `1e-5` as a number (YAML 1.1 requires `1.0e-5`) and refuses repeated keys."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
        seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _dotted(loc: Sequence[Any], tags: set[str]) -> str:
    # A name of `objectives` may be that of a kind: `nli`.
    named = [False, *(part == "objectives" for part in loc)]
    return ".".join(str(part) for part, is_name in zip(loc, named, strict=False) if is_name or str(part) not in tags)


def _tag(model: type[pydantic.BaseModel]) -> str:
    """The tag of a class in a union: the default of its `kind` or `model_type`; empty for other classes."""
    field = model.model_fields.get("kind") or model.model_fields.get("model_type")
    return field.default if field else ""


def _keys(annotation: Any) -> Iterator[tuple[str, type[pydantic.BaseModel]]]:
    """The settings classes inside a type such as `A | B` or `tuple[A, ...]`, each with its tag."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield _tag(annotation), annotation
    for inner in getattr(annotation, "__args__", ()) or ():
        yield from _keys(inner)


def _valid_keys(model: type[pydantic.BaseModel], loc: Sequence[Any]) -> list[str]:
    """Keys that are valid at the place that `loc` (pydantic's path of an unknown key) points to."""
    current = [model]
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        inner: list[tuple[str, type[pydantic.BaseModel]]] = []
        for candidate in current:
            if part in candidate.model_fields:
                inner += list(_keys(candidate.model_fields[part].annotation))
        if inner:
            current = [found for _, found in inner]
        else:  # the tag of a discriminated union
            current = [candidate for candidate in current if _tag(candidate) == part] or current
    return sorted({name for candidate in current for name in candidate.model_fields})


def _explain(model: type[pydantic.BaseModel], error: Any, tags: set[str]) -> str:
    where = _dotted(error["loc"], tags)
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        valid = _valid_keys(model, error["loc"])
        near = difflib.get_close_matches(name, valid, n=1)
        if near:
            return f"{where}: unknown key; did you mean `{_dotted([*error['loc'][:-1], near[0]], tags)}`?"
        kind = str(error["loc"][-2]) if len(error["loc"]) > 1 else ""
        others = [other for other, inner in _all_kinds(model) if kind in tags and name in inner.model_fields]
        if others:
            return f"{where}: `{kind}` has no `{name}`; `{others[0]}` has. Valid here: {', '.join(valid)}"
        return f"{where}: unknown key; valid here: {', '.join(valid)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":  # raised by our validators, whose messages begin with the key
        return _dotted([*error["loc"], message], tags)
    if error["type"] == "missing":
        return f"{where}: this key is missing"
    if error["type"] == "union_tag_invalid":
        key = "kind" if error["ctx"]["discriminator"] == "'kind'" else "model_type"
        tag, names = str(error["ctx"]["tag"]), re.findall(r"'([^']+)'", error["ctx"]["expected_tags"])
        names = names if key == "kind" else list(MODEL_TYPES)
        near = difflib.get_close_matches(tag, names, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return f"{where}.{key}: {tag!r} is not one of {', '.join(map(repr, names))}{hint}"
    if error["type"] == "union_tag_not_found":
        return f"{where}.kind: this key is missing"
    return f"{where}: {message}, got {error['input']!r}"


def validate(model: type[T], values: Any, where: str) -> T:
    """Validates plain values; each message begins with `where` (a file, or the command line).

    Raises:
      UsageError: with the path of every wrong key, what is wrong with it, and the nearest valid key.
    """
    tags = _tags(model)
    try:
        return model.model_validate_json(json.dumps(values), strict=True)  # JSON: a list may fill a tuple
    except (TypeError, ValueError) as error:
        if not isinstance(error, pydantic.ValidationError):
            raise UsageError(f"{where}: {error}") from None
        messages = [_explain(model, one, tags) for one in error.errors()]
    raise UsageError("\n".join(f"{where}: {message}" for message in dict.fromkeys(messages)))


def _tags(model: type[pydantic.BaseModel]) -> set[str]:
    """The tags of unions, which pydantic puts into the path of an error although they are not keys."""
    return {kind for kind, _ in _all_kinds(model)} | {ONE, SEVERAL}


def _all_kinds(model: type[pydantic.BaseModel]) -> Iterator[tuple[str, type[pydantic.BaseModel]]]:
    for field in model.model_fields.values():
        for kind, inner in _keys(field.annotation):
            if kind:
                yield kind, inner
            yield from _all_kinds(inner)


def read_yaml(path: Path) -> Any:
    """Reads one YAML document from a file, or from the shipped config of that name (`jaxemb.config.shipped`).

    Raises:
      UsageError: if the file is missing, empty, not UTF-8 or not YAML; the message gives the line.
    """
    path = shipped.locate(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        if path.stem in shipped.names():
            hint = f"; `--config {path.stem}` is the config of that name that ships with jaxemb"
        raise UsageError(f"{path}: no such file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a UTF-8 text file ({error})") from None
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(
            f"{path}: expected `key: value` lines, found {type(values).__name__ if text.strip() else 'an empty file'}"
        )
    return values


def resolve_environment(values: Any, where: str = "") -> Any:
    """Replaces `${NAME}` in every string by the environment variable NAME.

    Raises:
      UsageError: if the variable is not set.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UsageError(f"{where}: the environment variable {match[1]} is not set: `export {match[1]}=...`")
        return os.environ[match[1]]

    if isinstance(values, str):
        return re.sub(r"\$\{(\w+)\}", replace, values)
    if isinstance(values, dict):
        return {
            key: resolve_environment(value, f"{where}.{key}" if where else str(key)) for key, value in values.items()
        }
    if isinstance(values, list):
        return [resolve_environment(value, f"{where}.{i}") for i, value in enumerate(values)]
    return values


def load_config(path: Path, overrides: Sequence[str] = (), prog: str = "jaxemb train") -> TrainConfig:
    """Reads a config file, applies flags such as `--optimizer.learning-rate 1e-5`, and checks the result.

    Settings from the file and from flags count as given (`jaxemb.config.explicit`).

    Raises:
      UsageError: for anything wrong in the file. A wrong flag ends the process with status 2, as argparse does.
    """
    config = validate_file(path)
    given = given_paths(config) | paths_of_flags(overrides)
    if overrides:
        config = override(config, overrides, prog)
    config = validate(TrainConfig, resolve_environment(config.model_dump(mode="json")), str(path))
    return with_given(config, given)


def validate_file(path: Path) -> TrainConfig:
    """Reads and checks a config file, without replacing `${NAME}`.

    Raises:
      UsageError: for anything wrong in the file.
    """
    values = read_yaml(path)
    config = validate_values(values, str(path))
    if FILLED_IN not in values and is_resolved(shipped.locate(path)):
        return with_given(config, not_default(config))  # an older version did not record what it filled in
    return config


def validate_values(values: Mapping[str, Any], where: str) -> TrainConfig:
    """Checks the values of a config; values that a run filled in do not count as given.

    Raises:
      UsageError: for anything wrong in them.
    """
    recorded, settings = values.get(FILLED_IN), {key: value for key, value in values.items() if key != FILLED_IN}
    config = validate(TrainConfig, settings, where)
    if recorded is None:
        return config
    if not isinstance(recorded, dict):
        raise UsageError(f"{where}: {FILLED_IN}: expected `path: value` lines, as a run writes them; leave it out")
    return with_given(
        config, {key for key, value in flat(settings).items() if key not in recorded or recorded[key] != value}
    )


def is_resolved(path: Path) -> bool:
    """Whether a file is the `config.yaml` of a run."""
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(RESOLVED)


def override(config: TrainConfig, flags: Sequence[str], prog: str, description: str = "") -> TrainConfig:
    """Applies command-line flags to a config; the flag `--help` prints every field and its documentation.

    Raises:
      UsageError: if a flag's value is not valid, or contradicts another setting.
    """
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(
                TrainConfig,
                args=list(flags),
                default=config,
                prog=prog,
                description=description,
                config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),
            )
    except SystemExit as stop:
        where, cause = "", stop.__context__
        while cause is not None:  # tyro shows pydantic's messages; ours name the key
            if isinstance(cause, pydantic.ValidationError):
                break
            where = arg if isinstance(arg := getattr(cause, "arg", None), str) else where
            cause = cause.__context__
        if cause is None:
            sys.stderr.write(shown.getvalue())
            raise
    tags = _tags(TrainConfig)
    messages = [
        _explain(TrainConfig, {**one, "loc": (*filter(None, where.split(".")), *one["loc"])}, tags)
        for one in cause.errors()
    ]
    raise UsageError("\n".join(f"command line: {message}" for message in dict.fromkeys(messages)))


def dump(config: pydantic.BaseModel) -> str:
    """The config as YAML, every field in it."""
    return _yaml(config.model_dump(mode="json"))


def dump_resolved(config: TrainConfig, note: str = "") -> str:
    """The `config.yaml` of a run: every field, and which fields of the model and the tokenizer were filled in.

    Args:
      config: the run's config, as `resolve` made it.
      note: comment lines below the first.
    """
    given, values = given_paths(config), flat(config.model_dump(mode="json"))
    filled_in = {
        key: value for key, value in values.items() if key.startswith(("model.", "tokenizer.")) and key not in given
    }
    record = _FILLED_IN_NOTE + _yaml({FILLED_IN: filled_in}) if filled_in else ""
    return RESOLVED + note + dump(config) + record


def _yaml(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
