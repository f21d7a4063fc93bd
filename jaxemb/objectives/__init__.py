"""Objectives, one file per paper: `(params, batch, key) -> (loss, metrics)`, built from models, losses and parallel."""

from collections.abc import Callable
from typing import Any

from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from jaxemb import config as settings
from jaxemb.config import ModelConfig
from jaxemb.models import Params
from jaxemb.models.mlm import init_mlm_head
from jaxemb.models.paths import OBJECTIVE
from jaxemb.objectives import distillation, labse, pretraining, sbert, simcse
from jaxemb.objectives.masking import TokenKinds, token_kinds
from jaxemb.objectives.objective import Objective

_BUILDERS: dict[type, Callable[..., Objective]] = {
    settings.LabseObjective: labse.translation_ranking,
    settings.InfoNceObjective: labse.translation_ranking,
    settings.SbertClassification: sbert.classification,
    settings.SbertRegression: sbert.regression,
    settings.SbertTriplet: sbert.triplets,
    settings.SimcseObjective: simcse.contrastive,
    settings.SupervisedSimcse: simcse.contrastive,
    settings.DistillationObjective: distillation.distillation,
    settings.MlmObjective: pretraining.pretraining,
}


def build(
    config: settings.Objective,
    model: ModelConfig,
    mesh: Mesh,
    tokenizer: Any = None,
    *,
    kinds: TokenKinds | None = None,
) -> Objective:
    """The objective that a config names, for a model on a mesh.

    Masked language modelling needs to know the special tokens, from the `tokenizer` or as `kinds`.
    """
    masking = {"kinds": kinds or token_kinds(tokenizer)} if config.masks_tokens else {}
    return _BUILDERS[type(config)](config, model, mesh, **masking)


def init_params(config: settings.Objective, model: ModelConfig, key: PRNGKeyArray) -> Params:
    """The parameters that an objective trains in addition to the model, `{"objective": ...}`; empty for most."""
    own: Params = {}
    if isinstance(config, settings.SbertClassification):
        own["classifier"] = sbert.init_classifier(config, model, key)
    if config.masks_tokens:
        own["mlm"] = init_mlm_head(model, key)
    return {OBJECTIVE: own} if own else {}


__all__ = ["Objective", "build", "init_params"]
