"""Multilingual knowledge distillation (Reimers & Gurevych 2020, arXiv 2004.09813, eq. 1)."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from jaxemb.config import DistillationObjective, ModelConfig
from jaxemb.losses import embedding_mse
from jaxemb.losses.parts.in_batch import weighted_mean
from jaxemb.objectives.embedding import embed_texts
from jaxemb.objectives.objective import Objective

SIDES_OF = {"both": ("anchor", "positive"), "source": ("anchor",), "target": ("positive",)}
"""The texts that the student embeds for each setting: the source sentence, its translation, or both."""


def distillation(config: DistillationObjective, model: ModelConfig, mesh: Mesh) -> Objective:
    """|s(source) - t(source)|^2 + |s(target) - t(source)|^2; t(source) is `batch["teacher"]`, [B, E], without gradient.

    `over: mean` divides by E, as the authors' code does. The two terms are summed, as in the equation; the mean that
    sentence-transformers' `MSELoss` takes is half of that.
    """

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        sides = SIDES_OF[config.terms]
        embeddings = embed_texts(model, params, batch, key, mesh=mesh, sides=sides)
        terms = {
            "source" if side == "anchor" else "target": weighted_mean(
                embedding_mse(one, batch["teacher"], over=config.over), batch["weight"]
            )
            for side, one in zip(sides, embeddings, strict=True)
        }
        return jnp.sum(jnp.stack(list(terms.values()))), {f"{name}_mse": value for name, value in terms.items()}

    return objective
