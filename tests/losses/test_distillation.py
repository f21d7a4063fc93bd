import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from support import loss_checks as checks
from support.loss_checks import normal

DISTANCES = ("l2", "mse", "cosine")
seeds = st.integers(0, 2**31)


def st_loss(name: str, **options):
    pytest.importorskip("torch")
    return getattr(pytest.importorskip("sentence_transformers.losses"), name)(model=None, **options)


def candidates(seed: int, rows: int = 5, negatives: int = 3, width: int = 6) -> list[np.ndarray]:
    columns = [normal(seed, rows, width), normal(seed + 1, rows, width)]
    return [*columns, normal(seed + 2, rows, negatives, width), normal(seed + 3, rows, negatives)]


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


def test_margins_by_hand():
    query, positive = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 1.0]])
    negatives, margins = jnp.array([[[1.0, 0.0], [-2.0, 2.0]]]), jnp.array([[2.5, 4.0]])
    # 5 - 1 - 2.5 = 1.5, 5 - 2 - 4 = -1
    np.testing.assert_allclose(losses.margin_mse(query, positive, negatives, margins), [(2.25 + 1) / 2])
    loss = losses.margin_mse(query, positive, negatives, margins, similarity="cosine")
    cosines = np.array([1 / np.sqrt(5), 2 / np.sqrt(5 * 8)])
    expected = np.mean((5 / np.sqrt(5 * 10) - cosines - np.array([2.5, 4.0])) ** 2)
    np.testing.assert_allclose(loss, [expected], rtol=1e-6)


def test_divergence_by_hand():
    student, teacher = jnp.array([[0.0, np.log(4.0)]]), jnp.array([[np.log(9.0), 0.0]])
    # T = 1: q = 1/5, 4/5, p = 9/10, 1/10; T = 2: q = 1/3, 2/3, p = 3/4, 1/4, times 4
    sharp = 0.9 * np.log(0.9 / 0.2) + 0.1 * np.log(0.1 / 0.8)
    soft = 4 * (0.75 * np.log(0.75 * 3) + 0.25 * np.log(0.25 * 1.5))
    mixed = 4 * (0.9 * np.log(0.9 * 3) + 0.1 * np.log(0.1 * 1.5))
    np.testing.assert_allclose(losses.distill_kl(student, teacher), [sharp], rtol=1e-6)
    np.testing.assert_allclose(losses.distill_kl(student, teacher, temperature=2.0), [soft], rtol=1e-6)
    loss = losses.distill_kl(student, teacher, temperature=2.0, teacher_temperature=1.0)
    np.testing.assert_allclose(loss, [mixed], rtol=1e-6)


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


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("negatives", [1, 3])
@pytest.mark.parametrize("as_scores", [False, True])
def test_margin_mse_equals_sentence_transformers(similarity, negatives, as_scores):
    torch = pytest.importorskip("torch")
    util = pytest.importorskip("sentence_transformers.util")
    function = {"dot": util.pairwise_dot_score, "cosine": util.pairwise_cos_sim}[similarity]
    theirs = st_loss("MarginMSELoss", similarity_fct=function)
    *arrays, margins = candidates(0, negatives=negatives)
    scores = normal(9, 5, 1 + negatives)
    margins = scores[:, :1] - scores[:, 1:] if as_scores else margins
    labels = torch.tensor(scores if as_scores else margins)
    checks.equal_to_torch(
        lambda *x: losses.margin_mse(*x, jnp.array(margins), similarity=similarity).mean(),
        lambda *t: theirs.compute_loss_from_embeddings([t[0], t[1], *t[2].unbind(1)], labels),
        arrays,
    )


@pytest.mark.parametrize("temperatures", [(1.0, None), (2.5, None), (0.5, 3.0)])
def test_distill_kl_equals_sentence_transformers(temperatures):
    torch = pytest.importorskip("torch")
    temperature, teacher_temperature = temperatures
    theirs = st_loss("DistillKLDivLoss", temperature=temperature, teacher_temperature=teacher_temperature)
    query, positive, negatives, _ = candidates(4)
    documents, teacher = np.concatenate([positive[:, None], negatives], axis=1), 3 * normal(9, 5, 4)

    def ours(query, documents):
        scores = jnp.sum(query[:, None, :] * documents, axis=-1)
        options = {"temperature": temperature, "teacher_temperature": teacher_temperature}
        return losses.distill_kl(scores, jnp.array(teacher), **options).mean()

    checks.equal_to_torch(
        ours,
        lambda *t: theirs.compute_loss_from_embeddings([t[0], *t[1].unbind(1)], torch.tensor(teacher)),
        [query, documents],
    )


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


@given(seed=seeds, shift=st.floats(-50, 50, width=32))
@settings(max_examples=20, deadline=None)
def test_divergence_is_not_negative_and_does_not_see_a_shift_of_the_scores(seed, shift):
    student, teacher = jnp.array(3 * normal(seed, 4, 5)), jnp.array(3 * normal(seed + 1, 4, 5))
    plain = losses.distill_kl(student, teacher)
    assert (plain > -1e-6).all()
    np.testing.assert_allclose(losses.distill_kl(student + shift, teacher - shift), plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(losses.distill_kl(student, student), 0.0, atol=1e-6)


def test_a_candidate_that_the_teacher_leaves_out_adds_no_divergence():
    student, teacher = 3 * normal(0, 4, 5), 3 * normal(1, 4, 5)
    teacher[:, 2] = -np.inf
    teacher[1, :3] = -1e5
    assert (checks.finite(lambda s: losses.distill_kl(s, jnp.array(teacher)), student)[0] > 0).all()
    student[:, 2] = -np.inf
    value, _ = checks.finite(lambda s: losses.distill_kl(s, jnp.array(teacher)), student)
    kept = [0, 1, 3, 4]
    expected = losses.distill_kl(jnp.array(student[:, kept]), jnp.array(teacher[:, kept]))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_products_are_at_highest_precision_forward_and_backward():
    checks.multiplied_at_highest_precision(losses.margin_mse, *candidates(0))
    checks.multiplied_at_highest_precision(
        lambda s, k: losses.embedding_distillation(s, jnp.ones((5, 8)), k), normal(0, 5, 6), normal(1, 6, 8)
    )


def test_the_temperature_may_be_learnt():
    student, teacher = jnp.array(normal(0, 4, 5)), jnp.array(normal(1, 4, 5))
    slope = jax.grad(lambda t: losses.distill_kl(student, teacher, temperature=t).mean())(2.0)
    step = 0.02
    up, down = (losses.distill_kl(student, teacher, temperature=2.0 + d).mean() for d in (step, -step))
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-2)


def test_what_does_not_fit_is_refused():
    four, five, kernel = jnp.ones((2, 4)), jnp.ones((2, 5)), jnp.ones((4, 5))
    negatives, margins = jnp.ones((2, 3, 4)), jnp.ones((2, 3))
    with checks.unchecked_shapes():
        with pytest.raises(ValueError, match="over: 'max' is none of 'mean', 'sum'"):
            losses.embedding_mse(four, four, over="max")
        for call in (
            lambda: losses.embedding_mse(four, five),
            lambda: losses.multilingual_distillation(four, five, four),
            lambda: losses.margin_mse(four, five, negatives, margins),
            lambda: losses.distill_kl(four, five),
        ):
            with pytest.raises(ValueError, match="both sides of the same shape"):
                call()
        with pytest.raises(ValueError, match="'l1' is none of 'l2', 'mse', 'cosine'"):
            losses.embedding_distillation(four, four, distance="l1")
        with pytest.raises(ValueError, match="pass a kernel to the teacher's width"):
            losses.embedding_distillation(four, five)
        with pytest.raises(ValueError, match="a bias needs a kernel"):
            losses.embedding_distillation(four, four, bias=jnp.ones(4))
        for wrong in ((kernel.T, None), (kernel, jnp.ones(4))):
            with pytest.raises(ValueError, match="no fit"):
                losses.embedding_distillation(four, five, *wrong)
        with pytest.raises(ValueError, match="'l2' is none of 'dot', 'cosine'"):
            losses.margin_mse(four, four, negatives, margins, similarity="l2")
        for wrong in ((negatives, margins[:, :1]), (negatives[:, :, :3], margins), (negatives, margins[0])):
            with pytest.raises(ValueError, match=r"negatives of shape \(2, K, 4\) and margins of \(2, K\)"):
                losses.margin_mse(four, four, *wrong)
        with pytest.raises(ValueError, match="two or more"):
            losses.distill_kl(jnp.ones((2, 1)), jnp.ones((2, 1)))
