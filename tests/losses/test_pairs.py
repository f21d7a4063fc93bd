import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from jaxemb.losses.pairs import ONLINE_CONTRASTIVE
from jaxemb.losses.parts.paired import paired_distance, paired_euclidean
from support import loss_checks as checks
from support.loss_checks import normal

DISTANCES = {"cosine": "COSINE_DISTANCE", "euclidean": "EUCLIDEAN", "manhattan": "MANHATTAN"}
MARGINS = {"cosine": 0.45, "euclidean": 3.0, "manhattan": 6.0}  # some unlike pairs are nearer, some further
LABELS = np.array([1, 0, 1, 1, 0, 0, 1, 0])
seeds = st.integers(0, 2**31)


def pairs(seed: int, rows: int = 8, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    a = normal(seed, rows, width)
    return a, (a * np.float32(0.5) + normal(seed + 1, rows, width)).astype(np.float32)


def oracle(name: str, distance: str, **options):
    st_losses = pytest.importorskip("sentence_transformers.losses")
    metric = getattr(st_losses.SiameseDistanceMetric, DISTANCES[distance])
    return getattr(st_losses, name)(model=None, distance_metric=metric, **options)


def test_regression_by_hand():
    a, b = jnp.array([[3.0, 4.0], [0.0, 2.0]]), jnp.array([[5.0, 0.0], [0.0, -1.0]])
    # cosines 0.6 and -1
    loss = losses.cosine_similarity_mse(a, b, jnp.array([1.0, 0.25]))
    np.testing.assert_allclose(loss, [0.4**2, 1.25**2], rtol=1e-6)


def test_contrastive_by_hand():
    a, b = jnp.array([[0.0, 0.0]] * 4), jnp.array([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0], [6.0, 8.0]])
    labels = jnp.array([1.0, 0.0, 0.5, 0.0])
    # Euclidean distances 5, 5, 5, 10; margin 7
    loss = losses.contrastive(a, b, labels, margin=7.0, distance="euclidean")
    np.testing.assert_allclose(loss, [25 / 2, 4 / 2, (25 + 4) / 4, 0.0])
    # Manhattan distances 7, 7, 7, 14; margin 9
    loss = losses.contrastive(a, b, labels, margin=9.0, distance="manhattan")
    np.testing.assert_allclose(loss, [49 / 2, 4 / 2, (49 + 4) / 4, 0.0])


def test_online_contrastive_by_hand():
    a, b = jnp.array([[1.0], [3.0], [2.0], [2.5], [3.5], [0.5], [9.0]]), jnp.zeros((7, 1))
    labels = jnp.array([1, 1, 0, 0, 0, 2, 2])
    # alike further than 2: the 3; unlike nearer than 3: the 2 and the 2.5; the pairs labelled 2 are left out
    loss = losses.online_contrastive(a, b, labels, margin=4.0, distance="euclidean")
    np.testing.assert_allclose(loss, 3.0**2 + 2.0**2 + 1.5**2, rtol=1e-6)


def test_online_contrastive_of_one_label_takes_the_mean_for_threshold_by_hand():
    a, b = jnp.array([[1.0], [2.0], [6.0]]), jnp.zeros((3, 1))  # mean 3
    options = {"margin": 4.0, "distance": "euclidean"}
    np.testing.assert_allclose(losses.online_contrastive(a, b, jnp.ones(3), **options), 6.0**2)
    np.testing.assert_allclose(losses.online_contrastive(a, b, jnp.zeros(3), **options), 3.0**2 + 2.0**2)
    assert losses.online_contrastive(a[:1], b[:1], jnp.ones(1), **options) == 0.0


def test_regression_equals_sentence_transformers():
    torch = pytest.importorskip("torch")
    st_losses = pytest.importorskip("sentence_transformers.losses")
    a, b = pairs(0)
    scores = np.linspace(-1, 1, 8, dtype=np.float32)
    theirs = st_losses.CosineSimilarityLoss(model=None)
    checks.equal_to_torch(
        lambda a, b: losses.cosine_similarity_mse(a, b, jnp.array(scores)).mean(),
        lambda *t: theirs.compute_loss_from_embeddings(t, torch.tensor(scores)),
        [a, b],
    )


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("mean", [True, False])
def test_contrastive_equals_sentence_transformers(distance, mean):
    torch = pytest.importorskip("torch")
    margin = MARGINS[distance]
    theirs = oracle("ContrastiveLoss", distance, margin=margin, size_average=mean)
    arrays = pairs(1)
    apart = np.asarray(paired_distance(*map(jnp.array, arrays), distance))[LABELS == 0]
    assert apart.min() < margin < apart.max()

    def ours(a, b):
        values = losses.contrastive(a, b, jnp.array(LABELS), margin=margin, distance=distance)
        return values.mean() if mean else values.sum()

    checks.equal_to_torch(ours, lambda *t: theirs.compute_loss_from_embeddings(t, torch.tensor(LABELS)), arrays)


@pytest.mark.filterwarnings("ignore:OnlineContrastiveLoss expects binary labels")
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("labels", [LABELS, LABELS * 0, LABELS * 0 + 1, np.r_[LABELS[:6], 2, 2], LABELS < 1])
def test_online_contrastive_equals_sentence_transformers(distance, labels):
    torch = pytest.importorskip("torch")
    margin = MARGINS[distance]
    theirs = oracle("OnlineContrastiveLoss", distance, margin=margin)
    checks.equal_to_torch(
        lambda a, b: losses.online_contrastive(a, b, jnp.array(labels), margin=margin, distance=distance),
        lambda *t: theirs.compute_loss_from_embeddings(t, torch.tensor(labels)),
        pairs(2),
    )


def test_defaults_are_those_of_sentence_transformers():
    torch = pytest.importorskip("torch")
    st_losses = pytest.importorskip("sentence_transformers.losses")
    a, b = pairs(3)
    tensors, labels = [torch.tensor(a), torch.tensor(b)], torch.tensor(LABELS)
    ours = losses.contrastive(jnp.array(a), jnp.array(b), jnp.array(LABELS)).mean()
    theirs = st_losses.ContrastiveLoss(model=None).compute_loss_from_embeddings(tensors, labels)
    np.testing.assert_allclose(ours, theirs.item(), atol=1e-6)
    ours = losses.online_contrastive(jnp.array(a), jnp.array(b), jnp.array(LABELS))
    theirs = st_losses.OnlineContrastiveLoss(model=None).compute_loss_from_embeddings(tensors, labels)
    np.testing.assert_allclose(ours, theirs.item(), atol=1e-5)


@given(seed=seeds, distance=st.sampled_from(list(DISTANCES)))
@settings(max_examples=15, deadline=None)
def test_permuting_pairs_permutes_rows_and_leaves_the_batch_scalar(seed, distance):
    a, b = pairs(seed)
    order = np.random.default_rng(seed).permutation(8)
    options = {"margin": MARGINS[distance], "distance": distance}
    plain, moved = [tuple(map(jnp.array, (a[o], b[o], LABELS[o]))) for o in (np.arange(8), order)]
    rows = losses.contrastive(*plain, **options)
    np.testing.assert_allclose(losses.contrastive(*moved, **options), rows[order], rtol=1e-5, atol=1e-6)
    whole = losses.online_contrastive(*plain, **options)
    np.testing.assert_allclose(losses.online_contrastive(*moved, **options), whole, rtol=1e-5, atol=1e-6)
    # Swapping the sides of each pair changes nothing.
    np.testing.assert_allclose(losses.contrastive(plain[1], plain[0], plain[2], **options), rows, rtol=1e-5, atol=1e-6)


@given(seed=seeds, exponents=st.lists(st.integers(-10, 10), min_size=8, max_size=8))
@settings(max_examples=15, deadline=None)
def test_norms_do_not_matter_to_cosines(seed, exponents):
    a, b = map(jnp.array, pairs(seed))
    longer = a * jnp.array(2.0 ** np.array(exponents, np.float32))[:, None]
    labels, scores = jnp.array(LABELS), jnp.linspace(0, 1, 8)
    for loss, gold in ((losses.cosine_similarity_mse, scores), (losses.contrastive, labels)):
        np.testing.assert_allclose(loss(longer, b, gold), loss(a, b, gold), rtol=1e-5, atol=1e-6)


@given(seed=seeds, distance=st.sampled_from(list(DISTANCES)), label=st.sampled_from([None, 0, 1]))
@settings(max_examples=15, deadline=None)
def test_zero_rows_and_equal_sides_are_finite(seed, distance, label):
    a, b = pairs(seed)
    a[0] = b[0] = a[1] = b[2] = 0.0
    a[4:6] = b[4:6] = a[3]
    labels = jnp.array(LABELS if label is None else np.full(8, label))
    options = {"margin": MARGINS[distance], "distance": distance}
    checks.finite(lambda a, b: losses.cosine_similarity_mse(a, b, labels), a, b)
    checks.finite(lambda a, b: losses.contrastive(a, b, labels, **options), a, b)
    checks.finite(lambda a, b: losses.online_contrastive(a, b, labels, **options), a, b)


@pytest.mark.parametrize("distance", ["euclidean", "manhattan"])
def test_the_gradient_of_a_distance_of_zero_is_zero(distance):
    a = normal(0, 3, 4)
    value, gradients = checks.finite(lambda a, b: paired_distance(a, b, distance), a, a)
    np.testing.assert_array_equal(value, 0.0)
    np.testing.assert_array_equal(gradients, 0.0)


@pytest.mark.parametrize("exponent", range(-70, 60, 7))
def test_the_gradient_of_a_euclidean_distance_is_finite_at_any_distance(exponent):
    away = np.array([[3.0, -4.0]], np.float32) * np.float32(2.0**exponent)
    distance, (gradient, _) = checks.finite(paired_euclidean, away, np.zeros_like(away))
    if exponent > -19:
        np.testing.assert_allclose(distance, [5 * 2.0**exponent], rtol=1e-6)
        np.testing.assert_allclose(gradient, [[0.6, -0.8]], rtol=1e-6)


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_online_contrastive_of_a_batch_twice_is_twice_as_large(seed):
    a, b = map(jnp.array, pairs(seed))
    once = losses.online_contrastive(a, b, jnp.array(LABELS))
    twice = losses.online_contrastive(jnp.tile(a, (2, 1)), jnp.tile(b, (2, 1)), jnp.tile(jnp.array(LABELS), 2))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)


@pytest.mark.parametrize("labels", [LABELS, LABELS * 0, LABELS * 0 + 1])
def test_online_contrastive_by_rows_and_with_padding(labels):
    distance, label = np.abs(normal(5, 8)), labels.astype(np.float32)
    checks.rows_are_blocks_and_padding_changes_nothing(ONLINE_CONTRASTIVE, distance, label, margin=3.0)


def test_weights_multiply_the_values_of_online_contrastive():
    values, weights = jnp.array([3.0, jnp.nan, 2.0]), jnp.array([2.0, 0.0, 0.5])
    np.testing.assert_allclose(ONLINE_CONTRASTIVE.reduce(values, weights), 7.0)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_online_contrastive_with_nothing_allowed_is_zero(value):
    batch = (jnp.array([0.1, 0.4]), jnp.full(2, value))

    def total(distance):
        return ONLINE_CONTRASTIVE.rows((distance, batch[1]), batch, jnp.arange(2), jnp.zeros((2, 2), bool)).sum()

    loss, gradient = jax.value_and_grad(total)(batch[0])
    assert loss == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_bfloat16_inputs_are_computed_in_float32(distance):
    a, b = pairs(4)
    options = {"margin": MARGINS[distance], "distance": distance}
    checks.computed_in_float32(lambda a, b: losses.cosine_similarity_mse(a, b, jnp.linspace(0, 1, 8)), a, b)
    checks.computed_in_float32(lambda a, b: losses.contrastive(a, b, jnp.array(LABELS), **options), a, b)
    checks.computed_in_float32(lambda a, b: losses.online_contrastive(a, b, jnp.array(LABELS), **options), a, b)


def test_the_margin_may_be_learnt():
    a, b = map(jnp.array, pairs(6))
    unlike = jnp.zeros(8, jnp.int32)
    slope = jax.grad(lambda m: losses.contrastive(a, b, unlike, margin=m).sum())(jnp.float32(1.2))
    short = np.maximum(1.2 - np.asarray(paired_distance(a, b, "cosine")), 0)
    np.testing.assert_allclose(slope, short.sum(), rtol=1e-5)


def test_unequal_shapes_and_unknown_distances_are_refused():
    two, three = jnp.ones((2, 3)), jnp.ones((3, 3))
    calls = (losses.cosine_similarity_mse, losses.contrastive, losses.online_contrastive)
    with checks.unchecked_shapes():
        for loss in calls:
            with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
                loss(two, three, jnp.ones(2))
            with pytest.raises(ValueError, match=r"2 pairs need `(labels|scores)` of shape \(2,\), not \(1,\)"):
                loss(two, two, jnp.ones(1))
        for loss in calls[1:]:
            with pytest.raises(ValueError, match="'hamming' is not one of 'cosine', 'euclidean', 'manhattan'"):
                loss(two, two, jnp.ones(2), distance="hamming")
