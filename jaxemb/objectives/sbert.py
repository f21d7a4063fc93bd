"""Sentence-BERT (Reimers & Gurevych 2019, arXiv 1908.10084, section 3): classification, regression, triplets."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray

from jaxemb.config import ModelConfig, SbertClassification, SbertRegression, SbertTriplet
from jaxemb.losses import classifier_width, cosine_similarity_mse, softmax_classification, triplet
from jaxemb.losses.classification import classifier_outputs
from jaxemb.losses.parts.in_batch import weighted_mean
from jaxemb.models import Params, embedding_size
from jaxemb.objectives.embedding import embed_texts, first_of_its_row, sides_of
from jaxemb.objectives.objective import Objective


def init_classifier(config: SbertClassification, model: ModelConfig, key: PRNGKeyArray) -> Params:
    """The classifier over features of two embeddings: `kernel` [F, C] and `bias` [C].

    Both are drawn from U(-1/sqrt(F), 1/sqrt(F)), as the authors' code does (PyTorch's linear layer).
    """
    inputs = classifier_width(embedding_size(model), config.features)
    kernel_key, bias_key = jax.random.split(key)
    bound = inputs**-0.5
    params = {"kernel": jax.random.uniform(kernel_key, (inputs, config.classes), minval=-bound, maxval=bound)}
    if config.bias:
        params["bias"] = jax.random.uniform(bias_key, (config.classes,), minval=-bound, maxval=bound)
    return params


def classification(config: SbertClassification, model: ModelConfig, mesh: Mesh) -> Objective:
    """Softmax over W [u; v; |u - v|]: the cross-entropy of `label`, with `params["objective"]["classifier"]`."""

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        u, v = embed_texts(model, params, batch, key, mesh=mesh)
        classifier, labels = params["objective"]["classifier"], batch["label"]
        weights = classifier["kernel"], classifier.get("bias")
        loss = softmax_classification(u, v, labels, *weights, features=config.features)
        outputs = classifier_outputs(u, v, *weights, config.features)
        hits = jnp.asarray(jnp.argmax(outputs, axis=1) == labels, jnp.float32)
        return weighted_mean(loss, batch["weight"]), {"accuracy": weighted_mean(hits, batch["weight"])}

    return objective


def regression(config: SbertRegression, model: ModelConfig, mesh: Mesh) -> Objective:
    """Mean squared error of cos(u, v) against `score`."""

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        u, v = embed_texts(model, params, batch, key, mesh=mesh)
        loss = cosine_similarity_mse(u, v, batch["score"])
        return weighted_mean(loss, batch["weight"]), {}

    return objective


def triplets(config: SbertTriplet, model: ModelConfig, mesh: Mesh) -> Objective:
    """max(0, |a - p| - |a - n| + margin) for each hard negative n."""

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        sides = sides_of(batch)
        anchors, positives, *negatives = embed_texts(model, params, batch, key, mesh=mesh, sides=sides)
        losses = jnp.stack([triplet(anchors, positives, one, margin=config.margin) for one in negatives])
        nearer = jnp.asarray(losses < config.margin, jnp.float32)
        where = None
        if len(negatives) > 1:
            where = first_of_its_row([batch[f"{side}_hash"] for side in sides[2:]]).T
        return (
            weighted_mean(jnp.mean(losses, axis=0, where=where), batch["weight"]),
            {"accuracy": weighted_mean(jnp.mean(nearer, axis=0, where=where), batch["weight"])},
        )

    return objective
