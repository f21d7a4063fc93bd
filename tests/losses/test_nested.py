"""Matryoshka and adaptive layers against sentence-transformers' classes, run on a model that looks embeddings up."""

import jax.numpy as jnp
import numpy as np
import pytest
from loss_checks import embeddings, equal_to_torch, sentence_transformers_losses, unchecked_shapes

from jaxemb import losses

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


def test_what_does_not_go_is_refused():
    x = jnp.ones((2, 4))
    for options in ({"dims": ()}, {"dims": (4, 2), "weights": (1.0,)}, {"dims": (4, 0)}):
        with pytest.raises(ValueError, match="dims"):
            losses.matryoshka(losses.info_nce, **options)
    with pytest.raises(ValueError, match="8 is more than the embeddings' 4"):
        losses.matryoshka(losses.info_nce, dims=(8,))(x, x)
    with unchecked_shapes(), pytest.raises(ValueError, match="none of uniform, log, linear"):
        losses.adaptive_layers(losses.info_nce, layer_weighting="square")
