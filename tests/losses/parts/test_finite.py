"""NaN and infinity in rows that do not count reach nobody; in rows that count they are seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import losses
from support.loss_cases import IN_BATCH, KERNEL, ROW_BY_ROW, ROWS, Case
from support.loss_checks import close, embeddings
from support.tiers import sampled

DROPPED = np.isin(np.arange(ROWS), (1, 2, 7, ROWS - 1))
KEPT = ~DROPPED
BAD = np.resize([np.nan, np.inf, -np.inf], DROPPED.sum()).astype(np.float32)


def spoilt(x: np.ndarray) -> np.ndarray:
    """NaN and infinities in the dropped rows of what holds floats."""
    if x.dtype == np.float32:
        x = x.copy()
        x[DROPPED] = BAD.reshape(-1, *[1] * (x.ndim - 1))
    return x


def sum_of(case: Case, arrays, columns, kept, **options):
    """The sum of the kept rows' losses, and its gradients by arrays of floats and numbers."""
    floats = [k for k, array in enumerate(arrays) if array.dtype == np.float32]

    def loss(some, numbers):
        every = dict(zip(floats, some, strict=True))
        given = [every.get(k, jnp.array(x)) for k, x in enumerate(arrays)]
        rows = {name: jnp.array(x) for name, x in columns.items()}
        each = case.loss(*given, **numbers, **rows, **case.others, **options)
        return jnp.sum(jnp.where(jnp.array(kept), each, 0.0))

    numbers = {name: jnp.float32(value) for name, value in case.numbers.items()}
    return jax.jit(jax.value_and_grad(loss, (0, 1)))([jnp.array(arrays[k]) for k in floats], numbers)


def changes_nothing(case: Case, **options) -> None:
    """With the dropped rows spoilt, value and gradients are those of a batch without them."""
    value, (arrays, numbers) = sum_of(
        case, list(map(spoilt, case.arrays)), {name: spoilt(x) for name, x in case.rows.items()}, KEPT, **options
    )
    for gradient in arrays:
        np.testing.assert_array_equal(gradient[DROPPED], 0.0)
    wanted = sum_of(case, [x[KEPT] for x in case.arrays], {name: x[KEPT] for name, x in case.rows.items()}, KEPT[KEPT])
    close((value, ([x[KEPT] for x in arrays], numbers)), wanted)


@pytest.mark.parametrize("name", sorted(ROW_BY_ROW.keys() - {"info_nce", "masked_lm"}))
def test_a_row_that_is_left_out_changes_nothing(name):
    changes_nothing(ROW_BY_ROW[name])


EXCLUDING = ("multiple_negatives_ranking", "multiple_negatives_ranking/both_ways", "additive_margin_softmax", "gist",
             "multiple_negatives_ranking/decoupled", "siglip")  # fmt: skip


@pytest.mark.parametrize("name", EXCLUDING)
def test_an_excluded_column_changes_nothing(name):
    """Although the row that is left out looks at the others."""
    case = IN_BATCH[name]
    case = Case(case.loss, case.arrays[:2], case.numbers, case.rows, case.others)
    excluded = np.broadcast_to(DROPPED[None, :], (ROWS, ROWS))
    if name == "additive_margin_softmax":  # which reads it transposed on the way back
        excluded = excluded | excluded.T
    changes_nothing(case, excluded=jnp.array(excluded))


def test_excluded_candidates_that_nobody_has():
    """More candidates than queries, of which some fill up."""
    queries, candidates = embeddings(0, 5), embeddings(1, 9)
    fill = np.array([0, 0, 0, 1, 0, 0, 0, 1, 1], bool)
    positives = jnp.array([4, 0, 2, 1, 6])

    def run(candidates, **options):
        def loss(q, c, scale, margin):
            return losses.info_nce(q, c, scale=scale, margin=margin, **options).sum()

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3)))(jnp.array(queries), jnp.array(candidates), 9.0, 0.2)

    spoilt = np.where(fill[:, None], np.float32(np.nan), candidates)
    excluded = jnp.array(np.broadcast_to(fill, (5, 9)))
    value, (dq, dc, *numbers) = run(spoilt, positives=positives, excluded=excluded)
    np.testing.assert_array_equal(dc[fill], 0.0)
    place = jnp.array(np.cumsum(~fill) - 1)[positives]
    close((value, (dq, dc[~fill], *numbers)), run(candidates[~fill], positives=place))


def test_shared_parameters_get_nothing_of_a_row_that_is_left_out():
    u, v, teacher = embeddings(0, ROWS, 6), embeddings(1, ROWS, 6), embeddings(2, ROWS, 3)
    labels, bias = np.arange(ROWS) % 3, np.zeros(3, np.float32)
    kernels = {"classification": KERNEL, "distillation": embeddings(3, 6, 3)}
    shares = np.eye(3, dtype=np.float32)[labels]

    def each(name, rows, kernel, bias, labels):
        u, v, teacher = map(jnp.array, rows)
        if name == "classification":
            return losses.softmax_classification(u, v, jnp.array(labels), kernel, bias)
        return losses.embedding_distillation(u, teacher, kernel, bias)

    for name, kernel in kernels.items():
        for target in (labels, shares):

            def loss(kernel, bias, rows, target, kept, name=name):
                return jnp.sum(jnp.where(kept, each(name, rows, kernel, bias, target), 0.0))

            by = jax.jit(jax.value_and_grad(loss, (0, 1)))
            found = by(jnp.array(kernel), bias, list(map(spoilt, (u, v, teacher))), spoilt(target), KEPT)
            close(found, by(jnp.array(kernel), bias, [x[KEPT] for x in (u, v, teacher)], target[KEPT], True))


@pytest.mark.parametrize("how", ["weights", "labels"])
def test_the_vocabulary_gets_nothing_of_a_position_that_does_not_count(how):
    vectors, table, bias = embeddings(0, ROWS, 5), embeddings(1, 11, 5), embeddings(2, 11, 1)[:, 0]
    labels = np.arange(ROWS) % 11
    options = {"weights": jnp.array(KEPT, jnp.float32)} if how == "weights" else {}

    def loss(vectors, table, bias, labels, **options):
        return losses.masked_lm(vectors, jnp.array(labels), table, bias, chunk=4, **options).sum()

    by = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    masked = labels if how == "weights" else np.where(KEPT, labels, -100)
    value, (dv, *shared) = by(jnp.array(spoilt(vectors)), jnp.array(table), jnp.array(bias), masked, **options)
    np.testing.assert_array_equal(dv[DROPPED], 0.0)
    close((value, (dv[KEPT], *shared)), by(jnp.array(vectors[KEPT]), jnp.array(table), jnp.array(bias), labels[KEPT]))


def test_classes_and_words_that_are_not_there():
    """A bias of -inf takes a class or a word away: value and gradient are those of the others."""
    u, v, kernel, labels = embeddings(0, 6, 4), embeddings(1, 6, 4), embeddings(2, 12, 3), jnp.arange(6) % 2
    away = jnp.array([0.0, 0.5, -jnp.inf])

    def classify(kernel, bias):
        return losses.softmax_classification(jnp.array(u), jnp.array(v), labels, kernel, bias).sum()

    value, gradient = jax.jit(jax.value_and_grad(classify))(jnp.array(kernel), away)
    wanted, by_two = jax.jit(jax.value_and_grad(classify))(jnp.array(kernel[:, :2]), away[:2])
    close((value, gradient), (wanted, jnp.pad(by_two, ((0, 0), (0, 1)))))

    vectors, table = embeddings(3, 6, 4), embeddings(4, 9, 4)
    for gone in (slice(0, 4), slice(5, 9)):  # a whole chunk, the first, too
        there = np.setdiff1d(np.arange(9), np.arange(9)[gone])
        bias, words = jnp.zeros(9).at[gone].set(-jnp.inf), jnp.array(there)[jnp.arange(6) % 3]

        def predict(vectors, table, bias, words):
            return losses.masked_lm(vectors, words, table, bias, chunk=3).sum()

        by = jax.jit(jax.value_and_grad(predict, (0, 1, 2)))
        value, (dv, dt, db) = by(jnp.array(vectors), jnp.array(table), bias, words)
        place = jnp.arange(6) % 3
        close(
            (value, (dv, dt[there], db[there])),
            by(jnp.array(vectors), jnp.array(table[there]), jnp.zeros(len(there)), place),
        )
        assert not np.any(dt[gone])


def test_candidates_that_a_teacher_leaves_out():
    """With a learnt temperature, too."""
    student, teacher = embeddings(0, 4, 5), embeddings(1, 4, 5)
    teacher[:, 3] = -np.inf

    def loss(student, temperature):
        return losses.distill_kl(student, jnp.array(teacher), temperature=temperature).sum()

    value, (by_student, by_temperature) = jax.jit(jax.value_and_grad(loss, (0, 1)))(
        jnp.array(student), jnp.float32(2.0)
    )
    s, p = student.astype(np.float64), np.exp(teacher.astype(np.float64) / 2)

    def exact(temperature):
        log_q = s / temperature - np.log(np.exp(s / temperature).sum(1, keepdims=True))
        p = np.exp(np.delete(teacher, 3, 1).astype(np.float64) / temperature)
        p /= p.sum(1, keepdims=True)
        return temperature**2 * (p * (np.log(p) - np.delete(log_q, 3, 1))).sum()

    np.testing.assert_allclose(value, exact(2.0), rtol=1e-6)
    np.testing.assert_allclose(by_temperature, (exact(2.0 + 1e-5) - exact(2.0 - 1e-5)) / 2e-5, rtol=1e-4)
    q = np.exp(s / 2) / np.exp(s / 2).sum(1, keepdims=True)
    np.testing.assert_allclose(by_student, 2.0 * (q - p / p.sum(1, keepdims=True)), atol=1e-6)


EVERY = sorted(IN_BATCH | ROW_BY_ROW)


@pytest.mark.parametrize("name", sampled(EVERY[::4], [(name,) for name in EVERY if name not in EVERY[::4]], draw=2))
def test_a_row_that_counts_and_is_not_finite_is_seen(name):
    case = (IN_BATCH | ROW_BY_ROW)[name]
    first = case.arrays[0].copy()
    first[3] = np.nan
    numbers = {key: jnp.float32(x) for key, x in case.numbers.items()}
    loss = np.asarray(jax.jit(lambda first: case.call((first, *case.arrays[1:]), numbers))(jnp.array(first)))
    assert np.isnan(loss if loss.ndim == 0 else loss[3])


def test_absent_hard_negatives_have_no_part_in_the_divergence_of_layers():
    """Neither does what they hold; that of the texts that are there is a mean over these, in float64."""
    q, d, n = embeddings(0, 5, 4), embeddings(1, 5, 4), embeddings(2, 10, 4).reshape(5, 2, 4)
    has = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 1]], bool)
    loss = losses.adaptive_layers(lambda q, *_, **options: jnp.zeros(len(q)), kl_temperature=0.5)

    @jax.jit
    @jax.value_and_grad
    def run(last, prior):
        return loss(last, {1: prior}, has_hard_negative=jnp.array(has))

    absent = np.where(has[:, :, None], n, np.float32(np.nan))
    value, gradient = run(
        (jnp.array(q), jnp.array(d), jnp.array(absent)), (jnp.array(d), jnp.array(q), jnp.array(-absent))
    )
    last, prior = (np.concatenate([*x, y[has]]).astype(np.float64) for x, y in (((q, d), n), ((d, q), -n)))
    teacher, student = (2 * x - np.log(np.exp(2 * x).sum(1, keepdims=True)) for x in (last, prior))
    np.testing.assert_allclose(value, 0.5 * (np.exp(teacher) * (teacher - student)).sum() / len(last), rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_numbers_that_mean_nothing_are_nan():
    """Labels beside 0 to 1 (-1 of another library, say), and positives beyond the candidates."""
    a, b, labels = jnp.array(embeddings(0, 4)), jnp.array(embeddings(1, 4)), jnp.array([1, -1, 2, 0])
    for loss in map(jax.jit, (losses.contrastive, losses.contrastive_tension)):
        found = loss(a, b, labels)
        np.testing.assert_array_equal(np.isnan(found), [False, True, True, False])
        close(found[::3], loss(a[::3], b[::3], labels[::3]))
    info_nce = jax.jit(losses.info_nce)
    found = info_nce(a, b, positives=jnp.array([3, 4, -1, 0]))
    np.testing.assert_array_equal(np.isnan(found), [False, True, True, False])
    close(found[::3], info_nce(a[::3], b, positives=jnp.array([3, 0])))
