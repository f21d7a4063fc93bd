import jax
import jax.numpy as jnp
import jaxtyping
import pytest

from jaxemb.losses.parts.distances import pairwise_distance
from jaxemb.losses.parts.paired import paired_distance
from support.loss_checks import embeddings, equal_to_torch


@pytest.mark.parametrize("how", ["euclidean", "cosine"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_pairwise_is_that_of_torch(how, scale):
    torch = pytest.importorskip("torch")
    weights = embeddings(2, 7, 30)
    unit = scale if how == "euclidean" else 1.0

    def theirs(x, y):
        x, y = scale * x.double(), scale * y.double()
        if how == "cosine":
            distances = 1 - torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T
        else:
            distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
        return (torch.tensor(weights).double() * distances / unit).sum()

    def ours(x, y):
        return jnp.sum(weights * pairwise_distance(scale * x, scale * y, how) / unit)

    equal_to_torch(ours, theirs, [embeddings(0, 7, 64), embeddings(1, 30, 64)])


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e-3, 1.0, 1e3])
def test_duplicates_have_a_small_distance_and_a_bounded_gradient(scale):
    x = jnp.array(scale * embeddings(0, 5, 300))
    norm = float(jnp.linalg.norm(x, axis=1).max())
    distances = pairwise_distance(x, x + 0.0, "euclidean")
    assert float(jnp.diagonal(distances).max()) <= 2e-3 * norm
    gradient = jax.grad(lambda y: jnp.trace(pairwise_distance(y, x, "euclidean")))(x)
    assert float(jnp.linalg.norm(gradient, axis=1).max()) < 1.5


def test_no_array_has_rows_columns_and_width():
    a, b = jnp.ones((5, 7)), jnp.ones((6, 7))
    both = jax.make_jaxpr(jax.value_and_grad(lambda x, y: pairwise_distance(x, y, "euclidean").sum(), (0, 1)))(a, b)
    assert all(len(v.aval.shape) <= 2 for e in both.jaxpr.eqns for v in e.outvars)


def test_other_names_and_shapes_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="'chebyshev' is not one of 'cosine', 'euclidean', 'manhattan'"):
            paired_distance(jnp.ones((2, 3)), jnp.ones((2, 3)), "chebyshev")
        with pytest.raises(ValueError, match="'manhattan' is not one of 'euclidean', 'cosine'"):
            pairwise_distance(jnp.ones((2, 3)), jnp.ones((2, 3)), "manhattan")
        with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
            paired_distance(jnp.ones((2, 3)), jnp.ones((3, 3)), "cosine")
        with pytest.raises(ValueError, match="vectors must have the same width for a distance, not 3 and 4"):
            pairwise_distance(jnp.ones((2, 3)), jnp.ones((2, 4)), "cosine")
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
