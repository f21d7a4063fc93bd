"""The type of an objective."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array

Objective = Callable[[Any, Mapping[str, Any], Any], tuple[Array, dict[str, Array]]]
"""`(params, batch, key) -> (loss, metrics)`: a scalar over the global batch, and scalars to log."""
