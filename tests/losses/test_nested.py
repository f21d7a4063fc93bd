"""Matryoshka and adaptive layers against sentence-transformers' classes, run on a model that looks embeddings up."""

import functools
import inspect
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float

from jaxemb import losses
from jaxemb.losses.nested import EMBEDDINGS
from support.loss_cases import IN_BATCH, ROW_BY_ROW
from support.loss_checks import embeddings, equal_to_torch, sentence_transformers_losses, unchecked_shapes

DIMS, WEIGHTS = (8, 5, 2), (1.0, 0.5, 2.0)


def lookup_model(tensors):
    """Its `forward` gives the tensors one after the other."""
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):
        def forward(self, features):
            return {**features, "sentence_embedding": tensors[features["side"]]}

        def get_embedding_dimension(self):
            return 8

    return Model()


@pytest.mark.parametrize("name", ["ranking", "cosent", "triplet"])
def test_matryoshka_of_sentence_transformers(name, monkeypatch):
    st_losses = sentence_transformers_losses()
    torch = pytest.importorskip("torch")
    scores = np.random.default_rng(0).random(6).astype(np.float32)
    arrays = [embeddings(seed, 6) for seed in range(3 if name == "triplet" else 2)]
    inner, more = {
        "ranking": (losses.multiple_negatives_ranking, ()),
        "cosent": (losses.cosent, (jnp.array(scores),)),
        "triplet": (losses.triplet, ()),
    }[name]
    theirs = {"ranking": "MultipleNegativesRankingLoss", "cosent": "CoSENTLoss", "triplet": "TripletLoss"}[name]

    def oracle(*tensors):
        model = lookup_model(tensors)
        loss = getattr(st_losses, theirs)(model)
        monkeypatch.setattr(
            f"{type(loss).__module__}.embed_columns",
            lambda model, features: [model.forward(f)["sentence_embedding"] for f in features],
        )
        wrapped = st_losses.MatryoshkaLoss(model, loss, list(DIMS), list(WEIGHTS))
        return wrapped([{"side": k} for k in range(len(tensors))], torch.tensor(scores))

    wrapped = losses.matryoshka(inner, dims=DIMS, weights=WEIGHTS)
    equal_to_torch(lambda *xs: wrapped(*xs, *more).mean(), oracle, arrays)


@pytest.mark.parametrize("weighting", ["uniform", "log", "linear"])
@pytest.mark.parametrize("kl_weight", [0.0, 0.7])
def test_adaptive_layers_by_its_formula_in_pytorch(weighting, kl_weight):
    """sentence-transformers' `AdaptiveLayerLoss.forward`, its loop over layers spelled out for two drawn layers."""
    st_losses = sentence_transformers_losses()
    torch = pytest.importorskip("torch")
    weight_of = st_losses.AdaptiveLayerLoss.get_layer_weight
    arrays = [embeddings(seed, 6) for seed in range(6)]

    class Settings:
        layer_weighting = weighting

    def oracle(*tensors):
        loss = st_losses.MultipleNegativesRankingLoss(None)
        last, *prior = (list(tensors[k : k + 2]) for k in (0, 2, 4))
        total = 1.5 * loss.compute_loss_from_embeddings(last, None)
        teacher = torch.softmax(torch.cat(last) / 0.3, dim=-1).detach()
        for layer, both in zip((1, 3), prior, strict=True):
            weight = weight_of(Settings(), layer)
            total = total + loss.compute_loss_from_embeddings(both, None) * weight / 2 * 0.8
            student = torch.log_softmax(torch.cat(both) / 0.3, dim=-1)
            total = total + torch.nn.functional.kl_div(student, teacher, reduction="batchmean") * 0.3 * kl_weight
        return total

    wrapped = losses.adaptive_layers(
        losses.multiple_negatives_ranking,
        last_layer_weight=1.5,
        prior_layers_weight=0.8,
        kl_weight=kl_weight,
        layer_weighting=weighting,
    )
    equal_to_torch(lambda a, b, c, d, e, f: wrapped((a, b), {1: (c, d), 3: (e, f)}), oracle, arrays)


def test_two_dimensions_are_one_in_the_other():
    a, b, c, d = (jnp.array(embeddings(seed, 6)) for seed in range(4))
    narrow = losses.matryoshka(losses.info_nce, dims=(8, 3))
    both = losses.adaptive_layers(narrow, kl_weight=0.0)((a, b), {2: (c, d)}, scale=3.0)
    np.testing.assert_allclose(both, narrow(a, b, scale=3.0).mean() + narrow(c, d, scale=3.0).mean(), rtol=1e-6)


def test_labels_and_keywords_are_not_cut():
    a, b = (jnp.array(embeddings(seed, 8)) for seed in range(2))  # as many rows as dimensions
    labels = jnp.arange(8) % 2
    loss = losses.matryoshka(losses.contrastive, dims=(8, 4))(a, b, labels, margin=0.5)
    cut = losses.contrastive(a[:, :4], b[:, :4], labels, margin=0.5)
    np.testing.assert_allclose(loss, losses.contrastive(a, b, labels, margin=0.5) + cut, rtol=1e-5)


def unit(x, dim):
    x = x[..., :dim].astype(np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_only_embeddings_are_cut():
    """Although scores, probabilities and a kernel are as wide as they are: in float64."""
    q, p, margins = embeddings(0, 3, 4), embeddings(1, 3, 4), 10 * embeddings(2, 3, 4)
    n = embeddings(3, 12, 4).reshape(3, 4, 4)
    dims = (4, 2)

    def exact(dim):
        a, b, c = unit(q, dim), unit(p, dim), unit(n, dim)
        return (((a * b).sum(1)[:, None] - np.einsum("bd,bkd->bk", a, c) - margins) ** 2).mean(1)

    wanted = exact(4) + exact(2)
    for loss in (losses.margin_mse, functools.partial(losses.margin_mse, similarity="dot"), jax.jit(losses.margin_mse)):
        wrapped = jax.jit(losses.matryoshka(loss, dims=dims))
        np.testing.assert_allclose(wrapped(*map(jnp.array, (q, p, n, margins))), wanted, rtol=1e-5)
        by_name = wrapped(jnp.array(q), jnp.array(p), teacher_margin=jnp.array(margins), negatives=jnp.array(n))
        np.testing.assert_allclose(by_name, wanted, rtol=1e-5)

    kernel, shares = embeddings(4, 12, 4), np.abs(embeddings(5, 3, 4))
    shares /= shares.sum(1, keepdims=True)
    outputs = np.concatenate([unit(q, 4), unit(p, 4), np.abs(unit(q, 4) - unit(p, 4))], axis=1) @ kernel
    log_probabilities = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
    found = losses.matryoshka(losses.softmax_classification, dims=(4,))(*map(jnp.array, (q, p, shares, kernel)))
    np.testing.assert_allclose(found, -(shares * log_probabilities).sum(1), rtol=1e-5)

    square = embeddings(6, 4, 4)
    found = losses.matryoshka(losses.embedding_distillation, dims=(4,))(*map(jnp.array, (q, p, square)))
    np.testing.assert_allclose(found, np.linalg.norm(unit(q, 4) @ square - unit(p, 4), axis=1), rtol=1e-5)


def test_embeddings_of_a_loss_of_ones_own():
    """All that are as wide as the first one, or as many as it is told."""
    q, p, scores = (jnp.array(embeddings(seed, 3, 4)) for seed in range(3))

    def own(*arrays):
        a, b, scores = arrays
        return jnp.sum(a * b, axis=1) * scores[:, 0]

    told = losses.matryoshka(own, dims=(4, 2), embeddings=2)(q, p, scores)
    by_hand = [(unit(np.asarray(q), dim) * unit(np.asarray(p), dim)).sum(1) for dim in (4, 2)]
    np.testing.assert_allclose(told, sum(by_hand) * scores[:, 0], rtol=1e-5)
    cut = [unit(np.asarray(scores), dim)[:, 0] for dim in (4, 2)]
    untold = losses.matryoshka(own, dims=(4, 2))(q, p, scores)
    np.testing.assert_allclose(untold, by_hand[0] * cut[0] + by_hand[1] * cut[1], rtol=1e-5)


def test_the_embeddings_of_every_loss_are_known():
    """They are the first arguments, and those whose last axis is named as that of the first one."""
    cases = {name.partition("/")[0] for name in IN_BATCH | ROW_BY_ROW} - {"matryoshka", "adaptive_layers"}
    assert EMBEDDINGS.keys() == cases
    for name, count in EMBEDDINGS.items():
        axes = []
        for parameter in inspect.signature(getattr(losses, name)).parameters.values():
            kinds = [
                kind for kind in (parameter.annotation, *get_args(parameter.annotation)) if hasattr(kind, "dim_str")
            ]
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                axes.append({kind.dim_str.split()[-1] for kind in kinds if kind.dtype is Float})
        wide = [axis == {"D"} for axis in axes]
        if name == "embedding_distillation":  # of two widths
            assert axes[:2] == [{"S"}, {"T"}]
        else:
            assert wide == [True] * count + [False] * (len(axes) - count), name
    for name in ("distill_kl", "masked_lm"):
        with pytest.raises(ValueError, match=f"{name} takes 0 embeddings: one or more are needed"):
            losses.matryoshka(getattr(losses, name), dims=(2,))


def test_what_does_not_go_is_refused():
    x = jnp.ones((2, 4))
    for options in ({"dims": ()}, {"dims": (4, 2), "weights": (1.0,)}, {"dims": (4, 0)}):
        with pytest.raises(ValueError, match="dims"):
            losses.matryoshka(losses.info_nce, **options)
    with pytest.raises(ValueError, match="8 is more than the embeddings' width 4"):
        losses.matryoshka(losses.info_nce, dims=(8,))(x, x)
    with unchecked_shapes(), pytest.raises(ValueError, match="is not one of uniform, log, linear"):
        losses.adaptive_layers(losses.info_nce, layer_weighting="square")
