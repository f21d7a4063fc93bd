import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import losses
from support import loss_checks as checks
from support.loss_checks import candidates, normal, st_loss

DISTANCES = ("l2", "mse", "cosine")


def test_embeddings_by_hand():
    source, target = jnp.array([[1.0, 2.0], [0.0, 0.0]]), jnp.array([[3.0, 2.0], [1.0, 1.0]])
    teacher = jnp.array([[4.0, -2.0], [1.0, 0.0]])
    np.testing.assert_allclose(losses.embedding_mse(source, teacher), [25 / 2, 1 / 2])
    np.testing.assert_allclose(losses.embedding_mse(source, teacher, over="sum"), [25, 1])
    np.testing.assert_allclose(losses.multilingual_distillation(source, target, teacher), [(25 + 17) / 2, (1 + 1) / 2])
    np.testing.assert_allclose(losses.multilingual_distillation(source, target, teacher, over="sum"), [25 + 17, 1 + 1])
    np.testing.assert_allclose(losses.embedding_distillation(source, teacher), [5, 1])
    # cos((1, 2), (4, -2)) = 0; a zero row has cosine 0
    np.testing.assert_allclose(losses.embedding_distillation(source, teacher, distance="cosine"), [1, 1], atol=1e-6)
    kernel, bias = jnp.array([[2.0, 0.0], [0.0, 3.0]]), jnp.array([-1.0, 1.0])
    # mapped to (1, 7) and (-1, 1)
    loss = losses.embedding_distillation(source, teacher, kernel, bias, distance="mse")
    np.testing.assert_allclose(loss, [(9 + 81) / 2, (4 + 1) / 2])


def test_embedding_mse_equals_sentence_transformers():
    torch = pytest.importorskip("torch")
    source, target, teacher = (normal(k, 5, 6) for k in range(3))
    theirs = st_loss("MSELoss")
    fixed = torch.tensor(teacher)
    checks.equal_to_torch(
        lambda s: losses.embedding_mse(s, jnp.array(teacher)).mean(),
        lambda *t: theirs.compute_loss_from_embeddings(t, [fixed]),
        [source],
    )
    # Theirs is the mean of the columns, the paper's (and ours) their sum.
    checks.equal_to_torch(
        lambda s, t: losses.multilingual_distillation(s, t, jnp.array(teacher)).mean(),
        lambda *t: 2 * theirs.compute_loss_from_embeddings(t, [fixed, fixed]),
        [source, target],
    )


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("mapped", [False, True])
def test_embedding_distillation_equals_sentence_transformers(distance, mapped):
    torch = pytest.importorskip("torch")
    teacher = normal(0, 5, 6)
    arrays = [normal(1, 5, 4), normal(2, 4, 6), normal(3, 6)] if mapped else [normal(1, 5, 6)]
    theirs = st_loss("EmbedDistillLoss", distance_metric=distance)

    def oracle(*tensors):
        student, *projection = tensors
        if projection:
            theirs.projection = lambda x: torch.nn.functional.linear(x, projection[0].T, projection[1])
        return theirs.compute_loss_from_embeddings([student], [torch.tensor(teacher)])

    def ours(student, *projection):
        return losses.embedding_distillation(student, jnp.array(teacher), *projection, distance=distance).mean()

    checks.equal_to_torch(ours, oracle, arrays)


def every_loss():
    """Each with its arrays, the teacher's last."""
    student, target, kernel = normal(0, 5, 6), normal(1, 5, 6), normal(2, 6, 8)
    for over in ("mean", "sum"):
        yield lambda s, t, o=over: losses.embedding_mse(s, t, over=o), [student, normal(3, 5, 6)]
        loss = losses.multilingual_distillation
        yield lambda s, u, t, o=over, f=loss: f(s, u, t, over=o), [student, target, normal(3, 5, 6)]
    for distance in DISTANCES:
        loss = losses.embedding_distillation
        yield lambda s, t, d=distance, f=loss: f(s, t, distance=d), [student, normal(3, 5, 6)]
        yield lambda s, k, t, d=distance, f=loss: f(s, t, k, k[0], distance=d), [student, kernel, normal(3, 5, 8)]
    for similarity in ("dot", "cosine"):
        yield lambda *x, s=similarity: losses.margin_mse(*x, similarity=s), candidates(5)
    yield lambda s, t: losses.distill_kl(s, t, temperature=2.0), [normal(6, 5, 4), normal(7, 5, 4)]


@pytest.mark.parametrize(("loss", "arrays"), list(every_loss()))
def test_one_value_a_row_in_float32_and_no_gradient_for_the_teacher(loss, arrays):
    value, gradients = checks.finite(loss, *arrays)
    assert (value.shape, value.dtype) == ((5,), np.float32)
    np.testing.assert_array_equal(gradients[-1], 0.0)
    assert all(np.abs(g).max() > 0.01 for g in gradients[:-1])
    checks.computed_in_float32(loss, *arrays)


@pytest.mark.parametrize(("loss", "arrays"), list(every_loss()))
def test_permuting_rows_permutes_losses(loss, arrays):
    order = np.array([3, 0, 4, 2, 1])
    moved = [jnp.array(x[order] if len(x) == 5 else x) for x in arrays]
    np.testing.assert_allclose(loss(*moved), loss(*map(jnp.array, arrays))[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("loss", "arrays"), list(every_loss()))
def test_zero_rows_and_a_student_that_is_the_teacher_are_finite(loss, arrays):
    arrays = [x.copy() for x in arrays]
    for x in arrays:
        x[0] = 0.0
        x[1:3] = x[3]
    checks.finite(loss, *arrays)
    if arrays[0].shape == arrays[-1].shape:
        arrays[-1] = arrays[0].copy()
        arrays[1] = arrays[0].copy()
        value, gradients = checks.finite(loss, *arrays)
        if value[0] == 0.0:
            np.testing.assert_allclose(value, 0.0, atol=1e-6)
            np.testing.assert_allclose(gradients[0], 0.0, atol=1e-5)
        else:  # the cosine of a zero row
            np.testing.assert_allclose(value, [1.0, 0.0, 0.0, 0.0, 0.0], atol=1e-6)


def test_products_are_at_highest_precision_forward_and_backward():
    checks.multiplied_at_highest_precision(losses.margin_mse, *candidates(0))
    checks.multiplied_at_highest_precision(
        lambda s, k: losses.embedding_distillation(s, jnp.ones((5, 8)), k), normal(0, 5, 6), normal(1, 6, 8)
    )


def test_what_does_not_fit_is_refused():
    four, five, kernel = jnp.ones((2, 4)), jnp.ones((2, 5)), jnp.ones((4, 5))
    negatives, margins = jnp.ones((2, 3, 4)), jnp.ones((2, 3))
    with checks.unchecked_shapes():
        with pytest.raises(ValueError, match="over: 'max' is not one of 'mean', 'sum'"):
            losses.embedding_mse(four, four, over="max")
        for call in (
            lambda: losses.embedding_mse(four, five),
            lambda: losses.multilingual_distillation(four, five, four),
            lambda: losses.margin_mse(four, five, negatives, margins),
            lambda: losses.distill_kl(four, five),
        ):
            with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
                call()
        with pytest.raises(ValueError, match="'l1' is not one of 'l2', 'mse', 'cosine'"):
            losses.embedding_distillation(four, four, distance="l1")
        with pytest.raises(ValueError, match=r"the shapes of student .* and teacher .* differ: pass a kernel"):
            losses.embedding_distillation(four, five)
        with pytest.raises(ValueError, match="a bias needs a kernel"):
            losses.embedding_distillation(four, four, bias=jnp.ones(4))
        for wrong in ((kernel.T, None), (kernel, jnp.ones(4))):
            with pytest.raises(ValueError, match="do not fit embeddings of width"):
                losses.embedding_distillation(four, five, *wrong)
        with pytest.raises(ValueError, match="'l2' is not one of 'dot', 'cosine'"):
            losses.margin_mse(four, four, negatives, margins, similarity="l2")
        for wrong in ((negatives, margins[:, :1]), (negatives[:, :, :3], margins), (negatives, margins[0])):
            with pytest.raises(ValueError, match=r"negatives of shape \(2, K, 4\) and margins of \(2, K\)"):
                losses.margin_mse(four, four, *wrong)
        with pytest.raises(ValueError, match="two or more"):
            losses.distill_kl(jnp.ones((2, 1)), jnp.ones((2, 1)))
