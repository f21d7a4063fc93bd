"""Value and gradient on every mesh equal the plain maths of the global batch in float64."""

import itertools
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from jaxemb import losses
from jaxemb.parallel import BATCH_AXES, Across, batch_sharding, bidirectional_in_batch_loss, make_mesh
from support import numpy_reference as reference
from support.tiers import sampled

B, FEATURES, WIDTH = 24, 5, 7
TOLERANCE = 1e-6
# A share of the softmax is e to the block's logsumexp less the total's: float32 numbers near 10, which lie 1e-6 apart.
RING_TOLERANCE = 2e-6
MESHES = [(1, 1), (2, 1), (2, 2), (8, 1), (4, 2)]
MORE_MESHES = [((1, 2),), ((4, 1),), ((1, 4),), ((2, 4),), ((1, 8),)]
CASES = ["plain", "margin", "sum", "duplicates", "weights", "padded", "everything"]


def mesh_of(shape: tuple[int, int]) -> jax.sharding.Mesh:
    return make_mesh(*shape, devices=jax.devices()[: shape[0] * shape[1]])


def hashes() -> tuple[np.ndarray, np.ndarray]:
    """Equal anchors far apart and next to each other, equal positives, and pairs that differ in one word only."""
    anchors = np.stack([np.arange(B), np.arange(B) + 100], axis=1).astype(np.uint32)
    positives = np.stack([np.arange(B) + 200, np.full(B, 2**32 - 1)], axis=1).astype(np.uint32)
    anchors[17] = anchors[1]  # on another device
    anchors[[4, 5]] = anchors[3]  # three in a row: without negatives on a device that has just these
    positives[22] = positives[0]
    positives[11] = positives[10]
    anchors[8, 0] = anchors[9, 0]  # no duplicates: the other word differs
    anchors[13, 1] = anchors[14, 1]
    return anchors, positives


def case(name: str) -> dict:
    options: dict = {"scale": 10.0, "margin": 0.0, "directions": "mean"}
    if name in ("margin", "everything"):
        options["margin"] = 0.3
    if name in ("sum", "everything"):
        options["directions"] = "sum"
    if name in ("duplicates", "everything"):
        options["anchor_hashes"], options["positive_hashes"] = hashes()
    if name in ("weights", "everything"):
        options["weights"] = np.random.default_rng(5).uniform(0.25, 2.0, B).astype(np.float32)
    if name in ("padded", "everything"):  # the last device of eight has no real row at all, the one before it one
        options["weights"] = options.get("weights", np.ones(B, np.float32)) * (np.arange(B) < B - 5)
    return options


def inputs(name: str) -> dict[str, np.ndarray]:
    """Features and the parameters of a small linear encoder that both sides share."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(B, FEATURES))
    y = x + rng.normal(size=(B, FEATURES))
    kernel, shift = rng.normal(size=(FEATURES, WIDTH)), 0.1 * rng.normal(size=(B, WIDTH))
    out = {"kernel": kernel, "x": x, "y": y, "anchor_shift": shift, "positive_shift": -shift}
    out = {key: value.astype(np.float32) for key, value in out.items()}
    if name in ("padded", "everything"):
        for key in ("x", "y", "anchor_shift", "positive_shift"):
            out[key][B - 5 :] = 0.0  # a zero embedding
    return out


def embed(p):
    return (
        jnp.matmul(p["x"], p["kernel"], precision="highest") + p["anchor_shift"],
        jnp.matmul(p["y"], p["kernel"], precision="highest") + p["positive_shift"],
    )


def expected(name: str, blocks: int = 1) -> tuple[float, dict[str, np.ndarray], dict[str, float]]:
    """Loss, gradients with respect to all of `inputs`, and metrics, in float64."""
    p = {key: value.astype(np.float64) for key, value in inputs(name).items()}
    a, b = p["x"] @ p["kernel"] + p["anchor_shift"], p["y"] @ p["kernel"] + p["positive_shift"]
    result = reference.bidirectional(a, b, blocks=blocks, **case(name))
    ga, gb = result.anchor_gradient, result.positive_gradient
    gradients = {"kernel": p["x"].T @ ga + p["y"].T @ gb, "x": ga @ p["kernel"].T, "y": gb @ p["kernel"].T}
    return result.loss, gradients | {"anchor_shift": ga, "positive_shift": gb}, result.metrics


def on_mesh(name: str, shape: tuple[int, int], *, negatives="gather", sharded=False, loss_fn=None, **overrides):
    """((loss, metrics), gradients) with respect to all of `inputs`, under jit."""
    mesh = mesh_of(shape)
    options = case(name) | overrides
    columns = {k: options.pop(k) for k in ("anchor_hashes", "positive_hashes", "weights") if k in options}
    p = inputs(name)
    if sharded:
        rows = batch_sharding(mesh)
        columns = jax.device_put(columns, rows)
        p = {key: value if key == "kernel" else jax.device_put(value, rows) for key, value in p.items()}
    loss_fn = loss_fn or bidirectional_in_batch_loss

    @jax.jit
    def run(p, columns):
        def loss(p):
            return loss_fn(*embed(p), mesh=mesh, negatives=negatives, **columns, **options)

        return jax.value_and_grad(loss, has_aux=True)(p)

    return run(p, columns)


def check(got, want, tolerance=TOLERANCE) -> None:
    (loss, metrics), gradients = got
    want_loss, want_gradients, want_metrics = want
    assert reference.distance(loss, want_loss) < tolerance
    assert gradients.keys() == want_gradients.keys()
    for key, gradient in gradients.items():
        assert np.abs(want_gradients[key]).max() > 0.01, f"the gradient of {key} is too small to compare"
        assert reference.distance(gradient, want_gradients[key]) < tolerance, key
    assert metrics.keys() == want_metrics.keys()
    for key, metric in metrics.items():
        assert metric.dtype == jnp.float32
        assert reference.distance(metric, want_metrics[key]) < TOLERANCE, key


@pytest.mark.parametrize("shape", sampled(MESHES, MORE_MESHES, draw=1), ids=lambda s: f"{s[0]}x{s[1]}")
def test_gathered_negatives_equal_the_global_batch_on_every_mesh(shape):
    check(on_mesh("everything", shape, sharded=shape[1] > 1), expected("everything"))


@pytest.mark.parametrize("shape", sampled(MESHES, MORE_MESHES, draw=1), ids=lambda s: f"{s[0]}x{s[1]}")
def test_local_negatives_equal_the_blocks_of_the_batch_on_every_mesh(shape):
    blocks = shape[0] * shape[1]
    check(on_mesh("everything", shape, negatives="local", sharded=shape[1] == 1), expected("everything", blocks))


STRATEGIES = ("gather", "local", "ring")
EACH_BY_EACH = list(itertools.product(CASES, STRATEGIES))
IN_TURN = [(name, STRATEGIES[(number + skip) % 3]) for number, name in enumerate(CASES) for skip in (0, 1)]


@pytest.mark.parametrize(
    ("name", "negatives"), sampled(IN_TURN, [case for case in EACH_BY_EACH if case not in IN_TURN], draw=1)
)
def test_each_setting_by_itself(name, negatives):
    tolerance = RING_TOLERANCE if negatives == "ring" else TOLERANCE
    check(on_mesh(name, (2, 4), negatives=negatives), expected(name, 8 if negatives == "local" else 1), tolerance)


LARGE = [("ring", (2, 1)), ("ring", (8, 1)), ("gather", (8, 1))]
MORE_LARGE = [
    (negatives, shape) for negatives in ("ring", "gather", "local") for shape in ((1, 1), (2, 1), (2, 2), (8, 1))
]


@pytest.mark.parametrize(
    ("negatives", "shape"), sampled(LARGE, [case for case in MORE_LARGE if case not in LARGE], draw=1), ids=str
)
def test_a_large_scale_and_margin_where_the_chunk_does_not_divide(negatives, shape):
    """e to the scale times the margin overflows float32 from 88 on; here it is 90, and 400."""
    blocks = shape[0] * shape[1] if negatives == "local" else 1
    for scale, margin in ((300.0, 0.3), (1000.0, 0.4)):
        p = {key: value.astype(np.float64) for key, value in inputs("plain").items()}
        a, b = p["x"] @ p["kernel"] + p["anchor_shift"], p["y"] @ p["kernel"] + p["positive_shift"]
        want = reference.bidirectional(a, b, blocks=blocks, scale=scale, margin=margin)

        def loss(a, b, scale=scale, margin=margin):
            across = Across(mesh_of(shape), negatives, chunk=5 if shape[0] == 2 else 2)
            return losses.additive_margin_softmax(a, b, scale=scale, margin=margin, across=across).mean()

        found, gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))(jnp.float32(a), jnp.float32(b))
        tolerance = 2e-7 * scale  # of a logit, and so of a share of the softmax
        np.testing.assert_allclose(found, want.loss, rtol=1e-5)
        for gradient, wanted in zip(gradients, (want.anchor_gradient, want.positive_gradient), strict=True):
            np.testing.assert_allclose(gradient, wanted, atol=tolerance * np.abs(wanted).max())


def test_the_cases_are_what_they_claim():
    metrics = expected("everything")[2]
    assert 0 < metrics["accuracy"] < 1
    assert metrics["duplicate_rate"] == 7 / 19  # rows 1, 3, 4, 5, 10, 11, 17; the partner of row 0 is padding
    losses_seen = {name: expected(name)[0] for name in CASES}
    assert len({round(loss, 4) for loss in losses_seen.values()}) == len(CASES)


def test_equals_the_dense_loss_of_the_library():
    anchors, positives = embed(inputs("duplicates"))
    words, other_words = map(jnp.array, hashes())
    mask = losses.duplicate_mask(words, other_words)
    dense = losses.additive_margin_softmax(anchors, positives, scale=10.0, margin=0.3, excluded=mask).mean()
    loss, _ = bidirectional_in_batch_loss(
        anchors, positives, mesh=make_mesh(4, 2), scale=10.0, margin=0.3,
        anchor_hashes=words, positive_hashes=other_words,
    )  # fmt: skip
    np.testing.assert_allclose(loss, dense, rtol=1e-6)


def test_a_padded_batch_has_the_loss_of_its_real_rows_whatever_the_padding_holds():
    anchors, positives = (np.asarray(x) for x in embed(inputs("plain")))
    real = reference.bidirectional(anchors[:19], positives[:19], scale=10.0, margin=0.3)
    weights = jnp.array(np.arange(B) < 19, jnp.float32)

    @jax.jit
    @jax.value_and_grad
    def loss_of(anchors):
        options = {"mesh": make_mesh(8), "scale": 10.0, "margin": 0.3, "weights": weights}
        return bidirectional_in_batch_loss(anchors, jnp.array(positives), **options)[0]

    loss, gradient = loss_of(anchors)
    assert reference.distance(loss, real.loss) < TOLERANCE
    assert reference.distance(gradient[:19], real.anchor_gradient) < TOLERANCE
    np.testing.assert_array_equal(gradient[19:], 0.0)


def test_without_any_real_row_the_loss_and_its_gradient_are_zero():
    loss_of = jax.jit(
        lambda x: bidirectional_in_batch_loss(x, x, mesh=make_mesh(8), scale=10.0, margin=0.3, weights=jnp.zeros(B))
    )
    (loss, metrics), gradient = jax.value_and_grad(loss_of, has_aux=True)(jnp.ones((B, WIDTH)))
    assert loss == 0.0
    assert set(map(float, metrics.values())) == {0.0}
    np.testing.assert_array_equal(gradient, 0.0)


def test_rows_that_are_all_duplicates_have_loss_and_gradient_zero():
    words = jnp.zeros((B, 2), jnp.uint32)
    anchors, positives = embed(inputs("plain"))

    @jax.jit
    def loss_of(anchors):
        return bidirectional_in_batch_loss(
            anchors, positives, mesh=make_mesh(8), scale=10.0, margin=0.3, anchor_hashes=words
        )

    (loss, metrics), gradient = jax.value_and_grad(loss_of, has_aux=True)(anchors)
    assert loss == 0.0
    np.testing.assert_array_equal(gradient, 0.0)
    want = {"accuracy": 1.0, "duplicate_rate": 1.0, "negatives_per_query": 0.0, "hardest_negative_similarity": 0.0}
    assert {key: float(metrics[key]) for key in want} == want


def test_bfloat16_embeddings_are_scored_in_float32():
    anchors, positives = (x.astype(jnp.bfloat16) for x in embed(inputs("plain")))
    options = {"mesh": make_mesh(8), "scale": 100.0, "margin": 0.3}
    loss, metrics = bidirectional_in_batch_loss(anchors, positives, **options)
    exact, _ = bidirectional_in_batch_loss(anchors.astype(jnp.float32), positives.astype(jnp.float32), **options)
    assert loss.dtype == jnp.float32
    assert loss == exact
    assert metrics["accuracy"].dtype == jnp.float32


def test_metrics_have_no_gradient():
    anchors, positives = embed(inputs("plain"))

    def total(anchors):
        _, metrics = bidirectional_in_batch_loss(anchors, positives, mesh=make_mesh(4, 2), scale=10.0, margin=0.3)
        return sum(metrics.values())

    np.testing.assert_array_equal(jax.grad(total)(anchors), 0.0)


# ----------------------------------------------------------- the comparison sees what others shipped without noticing


def _without_gathered_gradient(anchors, positives, *, mesh, negatives, **options):
    def on_shard(a, p):
        own = lax.axis_index(BATCH_AXES) * len(a) + jnp.arange(len(a))
        a_all, p_all = (lax.stop_gradient(lax.all_gather(x, BATCH_AXES, tiled=True)) for x in (a, p))
        options.pop("directions", None)
        rows = losses.info_nce(a, p_all, positives=own, **options) + losses.info_nce(p, a_all, positives=own, **options)
        return lax.pmean(rows.mean() / 2, BATCH_AXES)

    rows = PartitionSpec(BATCH_AXES)
    loss = jax.shard_map(on_shard, mesh=mesh, in_specs=rows, out_specs=PartitionSpec(), check_vma=True)
    return loss(anchors, positives), expected("plain")[2]


def test_a_gather_without_gradient_is_caught():
    (loss, _), _ = wrong = on_mesh("plain", (4, 2), loss_fn=_without_gathered_gradient)
    np.testing.assert_allclose(loss, expected("plain")[0], rtol=1e-6)  # the loss curve looks normal
    with pytest.raises(AssertionError):
        check(wrong, expected("plain"))


def _gradient_inside():
    """Gradients of each device's own mean, averaged over the devices afterwards, as a DDP loop does."""
    p, mesh = inputs("plain"), make_mesh(4, 2)
    specs = {key: PartitionSpec() if key == "kernel" else PartitionSpec(BATCH_AXES) for key in p}

    def on_shard(p):
        def own_mean(p):
            a, b = embed(p)
            own = lax.axis_index(BATCH_AXES) * len(a) + jnp.arange(len(a))
            a_all, b_all = (lax.all_gather(x, BATCH_AXES, tiled=True) for x in (a, b))
            forward = losses.info_nce(a, b_all, positives=own, scale=10.0)
            return (forward + losses.info_nce(b, a_all, positives=own, scale=10.0)).mean() / 2

        loss, gradients = jax.value_and_grad(own_mean)(p)
        gradients["kernel"] = lax.pmean(gradients["kernel"], BATCH_AXES)
        return lax.pmean(loss, BATCH_AXES), gradients

    run = jax.shard_map(on_shard, mesh=mesh, in_specs=(specs,), out_specs=(PartitionSpec(), specs), check_vma=True)
    loss, gradients = jax.jit(run)(jax.tree.map(jnp.array, p))
    return (loss, expected("plain")[2]), gradients


def test_a_gradient_inside_shard_map_is_caught():
    (loss, _), gradients = wrong = _gradient_inside()
    want_loss, want_gradients, _ = expected("plain")
    np.testing.assert_allclose(loss, want_loss, rtol=1e-6)
    np.testing.assert_allclose(gradients["kernel"], 8 * want_gradients["kernel"], rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError):
        check(wrong, expected("plain"))


# ----------------------------------------------------------------------------------------------- the compiled program


def test_only_rows_travel():
    """What is gathered is embeddings, hashes and weights: nothing of the size of a block of scores."""
    mesh = make_mesh(8)
    words, other_words = map(jnp.array, hashes())

    def loss_of(anchors, positives, words, other_words, weights):
        options = {"anchor_hashes": words, "positive_hashes": other_words, "weights": weights}
        return bidirectional_in_batch_loss(anchors, positives, mesh=mesh, scale=10.0, margin=0.3, **options)[0]

    rows = (jnp.ones((B, WIDTH)), jnp.ones((B, WIDTH)), words, other_words, jnp.ones(B))
    rows = jax.device_put(rows, batch_sharding(mesh))
    text = jax.jit(jax.grad(loss_of, (0, 1))).lower(*rows).compile().as_text()
    gathered = re.findall(r"= \(?(\w+)\[([\d,]*)\]\S* all-gather(?:-start)?\(", text)
    assert gathered
    sizes = {(dtype, int(np.prod([int(n) for n in dimensions.split(",")]))) for dtype, dimensions in gathered}
    assert sizes <= {("f32", B * WIDTH), ("u32", B * 2), ("f32", B)}
    assert f"[{B},{B}]" not in text
    assert f"[{B // 8},{B}]" in text


# ----------------------------------------------------------------------------------------------------------- refusals


def test_rows_that_do_not_divide_and_unknown_choices_are_refused():
    x = jnp.ones((B, 3))
    with pytest.raises(ValueError, match="23 rows are not divisible by 8 devices: pad them"):
        bidirectional_in_batch_loss(x[1:], x[1:], mesh=make_mesh(8), scale=10.0, margin=0.0)
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="'rings' is not one of local, gather, ring"):
            bidirectional_in_batch_loss(x, x, mesh=make_mesh(4, 2), scale=10.0, margin=0.0, negatives="rings")
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
