"""Who is whose positive or negative among labelled rows, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.losses.parts.labelled import Terms, check_labels, compare_labels, mean_of_terms
from support.loss_checks import embeddings


def test_positives_and_negatives_of_a_block_of_rows():
    x, labels = embeddings(0, 5), jnp.array([7, 3, 7, 7, 3])
    allowed = jnp.ones((2, 5), bool).at[0, 3].set(False)  # the third of label 7 is hidden from the first row
    rows = (jnp.array(x[:2]), labels[:2])
    distances, positive, negative = compare_labels(rows, (jnp.array(x), labels), jnp.arange(2), allowed, "euclidean")
    np.testing.assert_array_equal(positive, [[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]])
    np.testing.assert_array_equal(negative, [[0, 1, 0, 0, 1], [1, 0, 1, 1, 0]])
    apart = np.linalg.norm(x[:2, None] - x[None], axis=2)
    np.testing.assert_allclose(distances[:, 2:], apart[:, 2:], rtol=1e-5)


def test_a_mean_over_terms_counts_terms_not_rows():
    values = Terms(jnp.array([6.0, 1.0, jnp.nan]), jnp.array([3.0, 1.0, 5.0]))
    np.testing.assert_allclose(mean_of_terms(values, jnp.array([1.0, 2.0, 0.0])), (6 + 2) / (3 + 2))
    assert mean_of_terms(Terms(jnp.zeros(2), jnp.zeros(2)), jnp.ones(2)) == 0.0


def test_one_label_a_row():
    check_labels(jnp.ones((4, 2)), jnp.arange(4))
    with pytest.raises(ValueError, match=r"4 embeddings need one label each, not labels of shape \(3,\)"):
        check_labels(jnp.ones((4, 2)), jnp.arange(3))
