import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from support import loss_checks as checks
from support.loss_checks import candidates, normal, st_loss

seeds = st.integers(0, 2**31)


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


def test_the_temperature_may_be_learnt():
    student, teacher = jnp.array(normal(0, 4, 5)), jnp.array(normal(1, 4, 5))
    slope = jax.grad(lambda t: losses.distill_kl(student, teacher, temperature=t).mean())(2.0)
    step = 0.02
    up, down = (losses.distill_kl(student, teacher, temperature=2.0 + d).mean() for d in (step, -step))
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-2)
