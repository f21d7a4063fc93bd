import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from jaxemb.losses.multiple_negatives import gist, multiple_negatives_ranking
from jaxemb.losses.parts.ranking_softmax import DIRECTIONS
from support.ranking_batches import B, compare, embeddings, jax_gradients

seeds = st.integers(0, 2**31)


@pytest.mark.parametrize("hard", [0, 1])
@pytest.mark.parametrize("contrast", [(True, True), (False, True), (True, False), (False, False)])
@pytest.mark.parametrize("margin", [("absolute", 0.0), ("absolute", 0.2), ("relative", 0.3)], ids=str)
def test_gist_of_sentence_transformers(monkeypatch, hard, contrast, margin):
    torch = pytest.importorskip("torch")
    module = pytest.importorskip("sentence_transformers.sentence_transformer.losses.gist_embed")
    monkeypatch.setattr(module, "embed_columns", lambda model, features: [f[model] for f in features])
    oracle = module.GISTEmbedLoss.__new__(module.GISTEmbedLoss)
    torch.nn.Module.__init__(oracle)
    settings = {"margin_strategy": margin[0], "margin": margin[1], "temperature": 0.1}
    settings |= dict(zip(("contrast_anchors", "contrast_positives"), contrast, strict=True))
    settings |= {"model": "model", "guide": "guide", "must_retokenize": False, "gather_across_devices": False}
    settings |= {"similarity_fct": torch.nn.CosineSimilarity(dim=-1), "cross_entropy_loss": torch.nn.CrossEntropyLoss()}
    for name, value in settings.items():
        setattr(oracle, name, value)
    arrays = embeddings(5, hard)
    # To this guide texts have nothing to do with each other: it finds many false negatives.
    guide = [np.random.default_rng(k).normal(size=(*x.shape[:-1], 7)).astype(np.float32) for k, x in enumerate(arrays)]
    names = ("guide_queries", "guide_documents", "guide_hard_negatives")
    guides = {name: jnp.array(array) for name, array in zip(names, guide, strict=False)}

    def theirs(columns):
        flat = map(torch.tensor, (*guide[:2], *(hard_negatives[:, 0] for hard_negatives in guide[2:])))
        return oracle.forward([{"model": c, "guide": g} for c, g in zip(columns, flat, strict=True)], None)

    def ours(*arrays):
        return gist(
            *arrays,
            **guides,
            scale=10.0,
            guide_strategy=margin[0],
            guide_margin=margin[1],
            contrast_queries=contrast[0],
            contrast_documents=contrast[1],
        )

    unguided = multiple_negatives_ranking(*map(jnp.array, arrays), scale=10.0)
    assert np.abs(ours(*map(jnp.array, arrays)) - unguided).max() > 1e-3
    compare(ours, theirs, arrays)


def cosines(a, b):
    a, b = (x.astype(np.float64) for x in (a, b))
    return (a / np.linalg.norm(a, axis=-1, keepdims=True)) @ (b / np.linalg.norm(b, axis=-1, keepdims=True)).T


def test_simcse_with_hard_negative_weight_in_float64():
    """SimCSE, eq. 8: alpha weighs the own hard negative's term of the sum."""
    queries, documents, hard = embeddings(7, hard=1)
    scores, hard_scores = np.exp(20 * cosines(queries, documents)), np.exp(20 * cosines(queries, hard[:, 0]))
    weights = np.where(np.eye(B, dtype=bool), 3.0, 1.0)
    expected = -np.log(np.diag(scores) / (scores + weights * hard_scores).sum(axis=1))
    loss = multiple_negatives_ranking(*map(jnp.array, (queries, documents, hard)), hard_negative_weight=3.0)
    np.testing.assert_allclose(loss, expected, rtol=2e-6, atol=1e-6)


def test_decoupled_in_float64():
    queries, documents = embeddings(8)
    scores = 5 * cosines(queries, documents)
    others = np.where(np.eye(B, dtype=bool), 0.0, np.exp(scores)).sum(axis=1)
    loss = multiple_negatives_ranking(*map(jnp.array, (queries, documents)), scale=5.0, decoupled=True)
    np.testing.assert_allclose(loss, np.log(others) - np.diag(scores), rtol=2e-6, atol=1e-6)


def test_a_queue_holds_more_documents_without_gradient():
    queries, documents = map(jnp.array, embeddings(9))
    queue = jnp.array(embeddings(10)[0])
    both = losses.info_nce(queries, jnp.concatenate([documents, queue]), scale=10.0)
    np.testing.assert_allclose(multiple_negatives_ranking(queries, documents, scale=10.0, queue=queue), both, rtol=1e-5)
    to_queue = jax.grad(lambda queue: multiple_negatives_ranking(queries, documents, queue=queue).sum())(queue)
    np.testing.assert_array_equal(to_queue, 0.0)


def test_margin_and_both_directions_are_the_additive_margin_softmax():
    arrays = embeddings(11)
    options = {"directions": ("query_to_doc", "doc_to_query"), "partition": "per_direction", "margin": 0.3}
    ours = jax_gradients(lambda *a: multiple_negatives_ranking(*a, combine_directions="sum", **options), arrays)
    other = jax_gradients(lambda *a: losses.additive_margin_softmax(*a, directions="sum"), arrays)
    for one, two in zip(jax.tree.leaves(ours), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_a_row_may_have_fewer_hard_negatives():
    queries, documents, hard = embeddings(12, hard=2)
    has = np.ones((B, 2), bool)
    has[1] = has[4, 1] = False
    live = hard[has]
    both = losses.info_nce(jnp.array(queries), jnp.concatenate([jnp.array(documents), jnp.array(live)]))
    hard[~has] = 1e3  # whatever the padding holds
    loss = multiple_negatives_ranking(*map(jnp.array, (queries, documents, hard)), has_hard_negative=jnp.array(has))
    np.testing.assert_allclose(loss, both, rtol=1e-5, atol=1e-6)


def test_a_hard_negative_that_is_the_document_of_a_row_is_none_of_it():
    queries, documents, hard = embeddings(18, hard=1)
    hard[2, 0] = documents[4]  # mined for row 2, and right for row 4
    document_ids = np.stack([np.arange(B), np.full(B, 7)], axis=1).astype(np.uint32)
    hard_ids = document_ids[:, None] + np.array([100, 0], np.uint32)
    hard_ids[2, 0] = document_ids[4]
    arrays = [jnp.array(x) for x in (queries, documents, hard)]
    ids = {"document_ids": jnp.array(document_ids), "hard_negative_ids": jnp.array(hard_ids)}
    loss = multiple_negatives_ranking(*arrays, **ids)
    excluded = np.zeros((B, 2 * B), bool)
    excluded[4, B + 2] = True
    candidates = jnp.concatenate([arrays[1], arrays[2][:, 0]])
    expected = losses.info_nce(arrays[0], candidates, excluded=jnp.array(excluded))
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)
    assert abs(multiple_negatives_ranking(*arrays)[4] - expected[4]) > 0.1


def test_excluded_rows_are_not_looked_at():
    queries, documents, hard = embeddings(13, hard=1)
    real = np.arange(B) < 4
    excluded = jnp.array(np.broadcast_to(~real[None], (B, B)))
    loss = multiple_negatives_ranking(
        *map(jnp.array, (queries, documents, hard)), directions=DIRECTIONS, excluded=excluded
    )
    alone = multiple_negatives_ranking(
        *(jnp.array(array[:4]) for array in (queries, documents, hard)), directions=DIRECTIONS
    )
    np.testing.assert_allclose(loss[:4], alone, rtol=1e-5, atol=1e-6)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_permutation_norms_and_zero_rows(seed):
    rng = np.random.default_rng(seed)
    arrays = embeddings(seed, hard=2)
    options = {"directions": DIRECTIONS, "hardness": 2.0, "hardness_mode": "all_negatives", "scale": 5.0}
    plain = multiple_negatives_ranking(*map(jnp.array, arrays), **options)
    order = rng.permutation(B)
    moved = multiple_negatives_ranking(*(jnp.array(x[order] * 2.0) for x in arrays), **options)
    np.testing.assert_allclose(moved, plain[order], rtol=1e-4, atol=1e-5)
    for array in arrays:
        array[rng.integers(B)] = 0.0
    loss, gradients = jax_gradients(lambda *a: multiple_negatives_ranking(*a, **options), arrays)
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("partition", ["joint", "per_direction"])
@pytest.mark.parametrize("decoupled", [False, True])
def test_rows_without_negatives_have_loss_and_gradient_zero(partition, decoupled):
    arrays = embeddings(14)
    options = {"partition": partition, "decoupled": decoupled, "excluded": jnp.ones((B, B), bool)}
    loss, gradients = jax_gradients(lambda *a: multiple_negatives_ranking(*a, **options), arrays)
    assert loss == 0.0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0.0)


def test_bfloat16_inputs_are_computed_in_float32():
    arrays = [jnp.array(array).astype(jnp.bfloat16) for array in embeddings(15, hard=1)]
    loss = multiple_negatives_ranking(*arrays, scale=100.0)
    assert loss.dtype == jnp.float32
    np.testing.assert_array_equal(
        loss, multiple_negatives_ranking(*(array.astype(jnp.float32) for array in arrays), scale=100.0)
    )


def test_self_guided_gist_hides_what_is_closer_than_the_positive():
    queries, documents = (jnp.array(array) for array in embeddings(19))
    documents = documents.at[1].set(2.0 * queries[0])  # nearer to query 0 than its own document
    options = {"contrast_queries": False, "contrast_documents": False, "scale": 5.0}
    loss = gist(queries, documents, guide_queries=queries, guide_documents=documents, **options)
    cosines = losses.cosine_similarity(queries, documents)
    closer = cosines > jnp.diagonal(cosines)[:, None]
    assert closer[0, 1]
    np.testing.assert_allclose(loss, losses.info_nce(queries, documents, scale=5.0, excluded=closer), rtol=1e-5)


def test_gist_needs_the_guide_of_hard_negatives():
    queries, documents, hard = map(jnp.array, embeddings(17, hard=1))
    with pytest.raises(ValueError, match="guide_hard_negatives"):
        gist(queries, documents, hard, guide_queries=queries, guide_documents=documents)
