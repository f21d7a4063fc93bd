"""One file per paper: `(params, batch, key) -> (loss, metrics)`, made of models, losses and parallel."""

from collections.abc import Callable, Mapping
from typing import Any

from jax.sharding import Mesh
from jaxtyping import Array

from jaxemb.config import InfoNceObjective, LabseObjective, ModelConfig
from jaxemb.objectives import labse

Objective = Callable[[Any, Mapping[str, Any], Any], tuple[Array, dict[str, Array]]]
"""`(params, batch, key) -> (loss, metrics)`: a scalar over the global batch, and scalars to log."""


def build(config: LabseObjective | InfoNceObjective, model: ModelConfig, mesh: Mesh) -> Objective:
    """The objective that a config names, for a model on a mesh."""
    return labse.translation_ranking(config, model, mesh)


__all__ = ["Objective", "build"]
