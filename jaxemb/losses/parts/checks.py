"""Checks of the losses' arguments."""

from typing import get_args

from jaxtyping import Array, Shaped


def check_pairs(a: Shaped[Array, "B ..."], b: Shaped[Array, "C ..."], **columns: Shaped[Array, "..."]) -> None:
    """Raises ValueError unless `a` and `b` have the same shape, and each named column has one value per row."""
    if a.shape != b.shape:
        raise ValueError(f"both sides of the pairs must have the same shape, not {a.shape} and {b.shape}")
    for name, column in columns.items():
        if column.shape != a.shape[:1]:
            raise ValueError(f"{a.shape[0]} pairs need `{name}` of shape {a.shape[:1]}, not {column.shape}")


def check_choice(name: str, value: str, choices: object) -> None:
    """Raises ValueError, listing the choices, if `value` is not one of the values of the Literal `choices`."""
    if value not in get_args(choices):
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(repr, get_args(choices)))}")
