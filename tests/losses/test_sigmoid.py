import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from jaxemb.losses.sigmoid import SIGLIP
from support.loss_checks import computed_in_float32, embeddings, equal_to_torch, finite, finite_where_nothing_is_allowed


def test_by_hand():
    queries, documents = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[3.0, 4.0], [0.0, 2.0]])
    # cosines [[0.6, 0], [0.8, 1]]; logits 10 cos - 5: [[1, -5], [3, 5]]
    expected = [np.log1p(np.exp(-1)) + np.log1p(np.exp(-5)), np.log1p(np.exp(-5)) + np.log1p(np.exp(3))]
    np.testing.assert_allclose(losses.siglip(queries, documents, scale=10.0, bias=-5.0), expected, rtol=1e-6)


def test_the_papers_pseudocode_in_pytorch():
    """SigLIP, algorithm 1, in float64."""
    torch = pytest.importorskip("torch")

    def oracle(queries, documents, scale, bias):
        unit = [torch.nn.functional.normalize(x.double()) for x in (queries, documents)]
        logits = unit[0] @ unit[1].T * scale.double() + bias.double()
        labels = 2 * torch.eye(len(queries), dtype=torch.float64) - 1
        return -torch.nn.functional.logsigmoid(labels * logits).sum() / len(queries)

    def ours(queries, documents, scale, bias):
        return losses.siglip(queries, documents, scale=scale, bias=bias).mean()

    arrays = [embeddings(0, 7), embeddings(1, 7), np.array(5.0, np.float32), np.array(-2.0, np.float32)]
    equal_to_torch(ours, oracle, arrays)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_permutation_norms_and_zero_rows(seed):
    queries, documents, order = embeddings(seed, 5), embeddings(seed + 1, 5), np.random.default_rng(seed).permutation(5)
    plain = losses.siglip(jnp.array(queries), jnp.array(documents))
    moved = losses.siglip(jnp.array(queries[order]), jnp.array(4.0 * documents[order]))
    np.testing.assert_allclose(moved, plain[order], rtol=1e-5)
    queries[1] = 0.0
    finite(losses.siglip, queries, documents)


def test_excluded_documents_are_no_negatives():
    queries, documents = jnp.array(embeddings(0, 4)), jnp.array(embeddings(1, 4))
    logits = 10 * losses.cosine_similarity(queries, documents) - 10
    loss = losses.siglip(queries, documents, excluded=jnp.ones((4, 4), bool))
    np.testing.assert_allclose(loss, jax.nn.softplus(-jnp.diagonal(logits)), rtol=1e-5)
    finite_where_nothing_is_allowed(SIGLIP, embeddings(0, 5), embeddings(1, 5), scale=10.0, bias=-10.0)


def test_bfloat16_inputs_are_computed_in_float32():
    computed_in_float32(losses.siglip, embeddings(0, 5), embeddings(1, 5))
