import math
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from jaxemb.losses import batch_triplet
from jaxemb.losses.parts.in_batch import InBatch
from support.loss_checks import (
    computed_in_float32,
    embeddings,
    equal_to_torch,
    finite,
    finite_where_nothing_is_allowed,
    rows_are_blocks_and_padding_changes_nothing,
    sentence_transformers_losses,
)
from support.tiers import sampled

CLASSES = {
    "batch_hard_triplet": "BatchHardTripletLoss",
    "batch_hard_soft_margin_triplet": "BatchHardSoftMarginTripletLoss",
    "batch_semi_hard_triplet": "BatchSemiHardTripletLoss",
    "batch_all_triplet": "BatchAllTripletLoss",
}
IN_BATCH: dict[str, InBatch] = {
    "batch_hard_triplet": batch_triplet.BATCH_HARD,
    "batch_hard_soft_margin_triplet": batch_triplet.BATCH_HARD_SOFT_MARGIN,
    "batch_semi_hard_triplet": batch_triplet.BATCH_SEMI_HARD,
    "batch_all_triplet": batch_triplet.BATCH_ALL,
}
LABELS = {
    "balanced": [0, 1, 2, 0, 1, 2, 0, 1, 2],
    "one alone": [5, 5, -3, 5, 5, 5, 9, 9, 9],
    "one class": [4] * 9,
    "all alone": list(range(9)),
}
every_loss = pytest.mark.parametrize("name", CLASSES)
DISTANCES = ("euclidean", "cosine")
every_distance = pytest.mark.parametrize("distance", DISTANCES)


def margins(name: str, margin: float) -> dict[str, float]:
    return {} if "soft_margin" in name else {"margin": margin}


def of(name: str, labels: list[int], distance: str = "euclidean", margin: float = 1.0):
    options = {"distance": distance} | margins(name, margin)
    return lambda x: getattr(losses, name)(x, jnp.array(labels), **options)


@every_loss
@pytest.mark.parametrize(
    ("distance", "kind", "margin"),
    sampled(
        [*(("euclidean", kind, 0.9) for kind in LABELS), ("cosine", "one alone", 0.9)],
        [*(("cosine", kind, 0.9) for kind in LABELS if kind != "one alone"),
         *((distance, kind, 5.0) for distance in DISTANCES for kind in LABELS)],
        draw=4,
    ),
)  # fmt: skip
def test_equal_to_sentence_transformers(name, distance, kind, margin):
    st_losses = sentence_transformers_losses()
    torch = pytest.importorskip("torch")
    metric = getattr(st_losses.BatchHardTripletLossDistanceFunction, f"{distance}_distance")
    oracle = getattr(st_losses, CLASSES[name])(model=None, distance_metric=metric, **margins(name, margin))
    labels = torch.tensor(LABELS[kind])
    loss = of(name, LABELS[kind], distance, margin)
    x = 0.3 * embeddings(0, 9)

    def theirs(x):
        return oracle.compute_loss_from_embeddings([x], labels)

    # No positives or no negatives: nothing, or a constant.
    constant = {
        "one class": not name.startswith("batch_semi"),
        "all alone": name in ("batch_semi_hard_triplet", "batch_all_triplet"),
    }
    if constant.get(kind):
        tensor = torch.tensor(x, requires_grad=True)
        expected = theirs(tensor)
        np.testing.assert_allclose(loss(jnp.array(x)).mean(), expected.item(), rtol=1e-6)
        if expected.requires_grad:
            expected.backward()
            np.testing.assert_allclose(tensor.grad.numpy(), 0.0, atol=1e-6)
        np.testing.assert_array_equal(jax.grad(lambda y: loss(y).mean())(jnp.array(x)), 0.0)
    else:
        equal_to_torch(lambda y: loss(y).mean(), theirs, [x])


def test_by_hand():
    x, labels = jnp.array([[0.0], [3.0], [4.0], [9.0]]), jnp.array([1, 1, 2, 1])
    # Row 0: positives 3, 9; negative 4. Row 1: 3, 6; 1. Row 2: none; 4, 1, 5. Row 3: 9, 6; 5.
    np.testing.assert_allclose(
        losses.batch_hard_triplet(x, labels, margin=2.0), [9 - 4 + 2, 6 - 1 + 2, 0 - 1 + 2, 9 - 5 + 2]
    )
    soft = losses.batch_hard_soft_margin_triplet(x, labels)
    np.testing.assert_allclose(soft, np.log1p(np.exp([5.0, 5.0, -1.0, 4.0])), rtol=1e-5)
    # Six pairs; only the first has a negative beyond itself (4 > 3).
    semi_hard = (3 - 4) + (9 - 4) + (3 - 1) + (6 - 1) + (9 - 5) + (6 - 5) + 5 * 2.0 + 2.0
    np.testing.assert_allclose(losses.batch_semi_hard_triplet(x, labels, margin=2.0), semi_hard / 6, rtol=1e-6)
    # The same six triplets, of which 3 - 4 + 0.5 is satisfied.
    expected = (5 + 2 + 5 + 4 + 1 + 5 * 0.5) / 5
    np.testing.assert_allclose(losses.batch_all_triplet(x, labels, margin=0.5), expected, rtol=1e-6)


def test_the_nearest_negative_beyond_the_positive_is_taken_and_else_the_farthest_by_hand():
    x, labels = jnp.array([[0.0], [3.0], [-1.0], [-5.0], [-7.0]]), jnp.array([1, 1, 2, 3, 4])
    # From 0: positive 3, negatives 1, 5, 7: 5. From 3: positive 3, negatives 4, 8, 10: 4.
    loss = losses.batch_semi_hard_triplet(x, labels, margin=10.0)
    np.testing.assert_allclose(loss, ((3 - 5 + 10) + (3 - 4 + 10)) / 2, rtol=1e-6)
    # From 0: positive 30, negatives 1, 5, 7: 7. From 30: 31 and more.
    loss = losses.batch_semi_hard_triplet(x.at[1].set(30.0), labels, margin=10.0)
    np.testing.assert_allclose(loss, ((30 - 7 + 10) + (30 - 31 + 10)) / 2, rtol=1e-6)


def test_a_negative_as_far_as_the_positive_is_not_beyond_it():
    torch = pytest.importorskip("torch")
    oracle = sentence_transformers_losses().BatchSemiHardTripletLoss(model=None, margin=10.0)
    x, labels = np.array([[0.0], [3.0], [-3.0], [-5.0]], np.float32), [1, 1, 2, 3]
    loss = losses.batch_semi_hard_triplet(jnp.array(x), jnp.array(labels), margin=10.0)
    np.testing.assert_allclose(loss, ((3 - 5 + 10) + (3 - 6 + 10)) / 2)
    np.testing.assert_allclose(loss, oracle.compute_loss_from_embeddings([torch.tensor(x)], torch.tensor(labels)))


@pytest.mark.parametrize("name", ["batch_semi_hard_triplet", "batch_all_triplet"])
def test_no_array_has_all_triplets(name):
    rows = 40
    labels = jnp.arange(rows) % 7
    loss = jax.jit(jax.value_and_grad(lambda x: getattr(losses, name)(x, labels, margin=1.0)))
    text = loss.lower(jnp.zeros((rows, 8))).compile().as_text()
    sizes = [math.prod(map(int, dims.split(","))) for dims in re.findall(r"\b(?:f32|pred|s32)\[([\d,]+)\]", text)]
    assert rows**2 in sizes
    assert max(sizes) <= 4 * rows**2 < rows**3


def test_a_row_without_negatives():
    x = jnp.array([[0.0], [3.0], [7.0]])
    labels = jnp.array([1, 1, 1])
    np.testing.assert_allclose(losses.batch_hard_triplet(x, labels, margin=2.0), [2.0, 2.0, 2.0])
    np.testing.assert_allclose(losses.batch_hard_soft_margin_triplet(x, labels), np.log([2.0, 2.0, 2.0]), rtol=1e-6)
    # Pairs at 3, 7, 4, twice each.
    np.testing.assert_allclose(losses.batch_semi_hard_triplet(x, labels, margin=2.0), 14 / 3 + 2, rtol=1e-6)
    assert losses.batch_all_triplet(x, labels) == 0.0


@every_loss
@pytest.mark.parametrize("distance", sampled(["euclidean"], ["cosine"], draw=1))
def test_in_blocks_and_with_padding(name, distance):
    labels = np.array([0, 1, 0, 1, 2, 0, 2], np.int32)
    options = {"distance": distance} | margins(name, 0.3)
    rows_are_blocks_and_padding_changes_nothing(IN_BATCH[name], embeddings(0, 7), labels, **options)
    finite_where_nothing_is_allowed(IN_BATCH[name], embeddings(0, 7), labels, **options)


@every_loss
@given(seed=st.integers(0, 2**31), rename=st.permutations(range(3)))
@settings(max_examples=8, deadline=None)
def test_permuting_rows_and_renaming_labels(name, seed, rename):
    rng = np.random.default_rng(seed)
    x, labels, order = embeddings(seed, 7), rng.integers(0, 3, 7), rng.permutation(7)
    plain = np.asarray(of(name, labels.tolist())(jnp.array(x)))
    moved = of(name, [rename[y] - 1 for y in labels[order]])(jnp.array(x[order]))
    np.testing.assert_allclose(moved, plain[order] if plain.ndim else plain, rtol=1e-5, atol=1e-6)


@every_loss
def test_norms_do_not_matter_for_cosine_and_rotations_for_neither(name):
    x, labels = embeddings(0, 7), [0, 0, 1, 1, 2, 2, 2]
    factors = 2.0 ** np.arange(-3, 4, dtype=np.float32)[:, None]
    plain = of(name, labels, "cosine")(jnp.array(x))
    np.testing.assert_allclose(of(name, labels, "cosine")(jnp.array(x * factors)), plain, rtol=1e-5, atol=1e-6)
    turn = np.linalg.qr(embeddings(1, 8))[0].astype(np.float32)
    for distance in ("euclidean", "cosine"):
        turned = of(name, labels, distance)(jnp.array(x @ turn))
        np.testing.assert_allclose(turned, of(name, labels, distance)(jnp.array(x)), rtol=1e-4, atol=1e-5)


@every_loss
@pytest.mark.parametrize(
    ("distance", "kind"),
    sampled(
        [("euclidean", "one alone"), ("cosine", "one class")],
        [("cosine", "one alone"), ("euclidean", "one class")],
        draw=1,
    ),
)
def test_zero_and_equal_rows_are_finite(name, distance, kind):
    x = embeddings(0, 9)
    x[:4] = 0.0
    x[5:7] = x[4]
    finite(of(name, LABELS[kind], distance), x)
    finite(of(name, LABELS[kind], distance), np.ones((9, 8), np.float32))
    finite(of(name, [1], distance), x[4:5])


@every_loss
@every_distance
def test_bfloat16_inputs_are_computed_in_float32(name, distance):
    computed_in_float32(of(name, LABELS["balanced"], distance), embeddings(0, 9))


@every_loss
def test_other_distances_and_numbers_of_labels_are_refused(name):
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="'manhattan' is not one of 'euclidean', 'cosine'"):
            getattr(losses, name)(jnp.ones((2, 3)), jnp.array([0, 1]), distance="manhattan")
        with pytest.raises(ValueError, match="2 embeddings need one label each"):
            getattr(losses, name)(jnp.ones((2, 3)), jnp.array([0, 1, 1]))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
