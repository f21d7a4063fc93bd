"""What each setting of a model changes. Its annotation says it: `pooling: Function[PoolingMode] = "cls"`.

All questions of the form "does this setting count?" are answered from here: whether two models give the same embeddings
(`jaxemb.encoding.fingerprint`), whether they share a compiled program (`jaxemb.encoding.texts`), and which settings of
an encoder belong to a run and not to its weights (`jaxemb.training.resolve`).
"""

import enum
import functools
from collections.abc import Collection
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)


class Kind(enum.Enum):
    """What a setting changes."""

    FUNCTION = enum.auto()
    """What is computed from token ids: embeddings, and the compiled program."""
    TEXT = enum.auto()
    """The token ids of a text: embeddings, but not the compiled program."""
    PROGRAM = enum.auto()
    """How the function is compiled; embeddings are the same but for rounding."""
    TRAINING = enum.auto()
    """Training only."""
    START = enum.auto()
    """The weights that training begins with."""
    USE = enum.auto()
    """What readers of the model are told: which prompts there are, how to compare embeddings."""


EMBEDDING_KINDS = frozenset({Kind.FUNCTION, Kind.TEXT})
"""Settings that change an embedding."""
PROGRAM_KINDS = frozenset({Kind.FUNCTION, Kind.PROGRAM})
"""Settings that change the compiled program."""

Function = Annotated[T, Kind.FUNCTION]
Text = Annotated[T, Kind.TEXT]
Program = Annotated[T, Kind.PROGRAM]
Training = Annotated[T, Kind.TRAINING]
Start = Annotated[T, Kind.START]
Use = Annotated[T, Kind.USE]


@functools.lru_cache(maxsize=256)
def kinds_of(settings: type[BaseModel]) -> dict[str, Kind]:
    """The kind of each field.

    Raises:
      TypeError: if a field has no kind, or several.
    """
    kinds = {}
    for name, field in settings.model_fields.items():
        match [one for one in field.metadata if isinstance(one, Kind)]:
            case [kind]:
                kinds[name] = kind
            case found:
                raise TypeError(
                    f"{settings.__name__}.{name} has {len(found)} kinds: say in its annotation what it changes, for "
                    "example `Function[int]` (see jaxemb.config.kinds)"
                )
    return kinds


def fields_of(settings: type[BaseModel], kinds: Collection[Kind]) -> set[str]:
    """Names of the fields of these kinds."""
    return {name for name, kind in kinds_of(settings).items() if kind in kinds}


def dump_kinds(settings: BaseModel, kinds: Collection[Kind]) -> dict[str, Any]:
    """The values of the fields of these kinds, nested settings included, as plain JSON values.

    >>> from jaxemb.config import LoraConfig
    >>> dump_kinds(LoraConfig(rank=2, targets="query"), {Kind.FUNCTION})
    {'rank': 2, 'alpha': 16.0, 'targets': 'query'}
    """
    names = fields_of(type(settings), kinds)
    nested: dict[str, Any] = {}
    for name in names:
        match getattr(settings, name):
            case BaseModel() as inner:
                nested[name] = dump_kinds(inner, kinds)
            case (BaseModel(), *_) as several:
                nested[name] = [dump_kinds(inner, kinds) for inner in several]
    return settings.model_dump(mode="json", include=names - nested.keys()) | nested


@functools.lru_cache(maxsize=256)  # `encode` asks in every call, and a call may be for one short text
def _keep(settings: S, kinds: frozenset[Kind]) -> S:
    changed: dict[str, Any] = {}
    for name, kind in kinds_of(type(settings)).items():
        match getattr(settings, name):
            case _ if kind not in kinds:
                changed[name] = type(settings).model_fields[name].get_default()
            case BaseModel() as inner:
                changed[name] = _keep(inner, kinds)
            case (BaseModel(), *_) as several:
                changed[name] = tuple(_keep(inner, kinds) for inner in several)
    return settings.model_copy(update=changed)


def keep_kinds(settings: S, kinds: Collection[Kind]) -> S:
    """The settings with only the fields of these kinds as they are, and all others at their defaults.

    The values are not checked again: together they need not make sense.

    >>> from jaxemb.config import LoraConfig
    >>> keep_kinds(LoraConfig(rank=2, train_head=False), {Kind.FUNCTION}) == LoraConfig(rank=2)
    True
    """
    return _keep(settings, frozenset(kinds))
