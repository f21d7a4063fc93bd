"""Errors for arguments that do not fit."""

from typing import get_args

from jaxtyping import Array, Shaped


def check_pairs(a: Shaped[Array, "B ..."], b: Shaped[Array, "C ..."], **columns: Shaped[Array, "..."]) -> None:
    """Raises ValueError unless `a` and `b` have the same shape and the columns, by their names, one value a row."""
    if a.shape != b.shape:
        raise ValueError(f"pairs need both sides of the same shape, not {a.shape} and {b.shape}")
    for name, column in columns.items():
        if column.shape != a.shape[:1]:
            raise ValueError(f"{a.shape[0]} pairs need `{name}` of shape {a.shape[:1]}, not {column.shape}")


def check_choice(name: str, value: str, choices: object) -> None:
    """Raises ValueError, listing the choices, when `value` is none of those of a Literal."""
    if value not in get_args(choices):
        raise ValueError(f"{name}: {value!r} is none of {', '.join(map(repr, get_args(choices)))}")
