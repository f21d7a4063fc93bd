"""One proof for all losses: on any mesh, value and gradient are those of the plain maths of the global batch."""

import dataclasses
import functools
import inspect
import itertools
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_cases import IN_BATCH, NO_LOSS, ROW_BY_ROW, ROWS, Case
from loss_checks import unchecked_shapes
from tiers import sampled

from jaxemb import losses
from jaxemb.losses.in_batch import InBatch, combine_values
from jaxemb.losses.ranking_softmax import DIRECTIONS
from jaxemb.parallel import Across, batch_sharding, make_mesh

MESHES = ((1, 1), (2, 1), (4, 1), (8, 1), (4, 2), (2, 4))
CHUNK = 2  # three rows a device on eight: the last chunk is not full
REAL = np.arange(ROWS) % 8 != 5  # rows of padding on several devices
JUNK = np.where(REAL, 0.0, np.resize([np.nan, np.inf, -np.inf], ROWS)).astype(np.float32)
IDS = [np.stack([RNG.integers(0, size, ROWS), np.ones(ROWS)], axis=1).astype(np.uint32)
       for RNG, size in ((np.random.default_rng(1), 20), (np.random.default_rng(2), 30))]  # fmt: skip


class Dense:
    """One device, and masks made in NumPy: what `Across` must equal."""

    def __init__(self, mesh_size: int, negatives: str, padded: bool, hashed: bool) -> None:
        place = np.arange(ROWS) // (ROWS // mesh_size)
        allowed = place[:, None] == place[None, :] if negatives == "local" else np.ones((ROWS, ROWS), bool)
        for ids in IDS if hashed else []:
            allowed &= (ids[:, None] != ids[None]).any(axis=2)
        self.real = REAL if padded else np.ones(ROWS, bool)
        self.allowed = jnp.array((allowed & self.real[None, :]) | np.eye(ROWS, dtype=bool))

    def weights_of(self, count: int) -> jax.Array:
        return jnp.array(self.real, jnp.float32)

    def values(self, loss: InBatch, batch: tuple[Any, ...], hyper: Any) -> Any:
        values = loss.rows(batch, batch, jnp.arange(ROWS), self.allowed, **hyper)
        return combine_values(loss.combine, loss.alone(batch, **hyper), values) if loss.alone else values


def total(case: Case, arrays, numbers, weights, **options):
    """One number: the weighted mean of a loss that has a value a row."""
    loss = case.call(arrays, numbers, **options)
    return loss if loss.ndim == 0 else jnp.sum(loss * weights) / jnp.sum(weights)


def compiled(case: Case, weights, **options):
    """A function of arrays, numbers and columns of a case, in the order of `inputs`, to value and gradients."""
    floats = [k for k, array in enumerate(case.arrays) if array.dtype == np.float32]

    def of(some, numbers, columns):
        arrays = list(case.arrays)
        for k, array in zip(floats, some, strict=True):
            arrays[k] = array
        return total(dataclasses.replace(case, rows={**case.rows, **columns}), arrays, numbers, weights, **options)

    return jax.jit(jax.value_and_grad(of, (0, 1)))


def inputs(case: Case, junk: np.ndarray | None = None):
    """Arrays, numbers and columns of floats of a case; with `junk` in the rows where that is not 0, and in hard
    negatives that are absent.
    """

    def spoilt(x: np.ndarray) -> np.ndarray:
        if junk is None:
            return x
        mask = junk != 0
        if x.ndim == 3:
            mask = mask[:, None] | ~case.rows.get("has_hard_negative", np.ones(x.shape[:2], bool))
        values = np.resize(junk[junk != 0], mask.shape)
        more = (..., *[None] * (x.ndim - mask.ndim))
        return np.where(mask[more], values[more], x)

    arrays = [spoilt(array) for array in case.arrays if array.dtype == np.float32]
    columns = {name: spoilt(array) for name, array in case.rows.items() if array.dtype == np.float32}
    return arrays, {name: np.float32(value) for name, value in case.numbers.items()}, columns


def value_and_gradients(case: Case, weights, **options):
    return compiled(case, weights, **options)(*inputs(case))


@functools.cache
def expected(name: str, size: int, negatives: str, padded: bool, hashed: bool):
    dense = Dense(size, negatives, padded, hashed)
    return value_and_gradients(IN_BATCH[name], dense.weights_of(ROWS), across=dense)


def check(actual, wanted):
    assert any(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(wanted[1]))
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def prove(name: str, shape: tuple[int, int], negatives: str, padded: bool, hashed: bool) -> None:
    size = shape[0] * shape[1]
    weights = jnp.array(REAL if padded else np.ones(ROWS), jnp.float32)
    across = Across(
        make_mesh(*shape, devices=jax.devices()[:size]),
        negatives,
        ids=tuple(map(jnp.array, IDS)) if hashed else (),
        weights=weights if padded else None,
        chunk=CHUNK,
    )
    step, case = compiled(IN_BATCH[name], weights, across=across), IN_BATCH[name]
    wanted = expected(name, size if negatives == "local" else 1, negatives, padded, hashed)
    check(step(*inputs(case)), wanted)
    if padded:  # whatever the padding holds
        check(step(*inputs(case, JUNK)), wanted)


def strategies(name: str) -> tuple[str, ...]:
    return ("local", "gather", "ring") if IN_BATCH[name].ring else ("local", "gather")


WHOLE = [
    (name, shape, negatives, padded, hashed)
    for name in IN_BATCH
    for negatives in strategies(name)
    for shape in MESHES
    for padded in (False, True)
    for hashed in (False, True)
]


# Each loss by each strategy with padding and duplicates, on meshes in turn, so that each strategy sees every mesh and
# each loss at least two.
PAIRS = [(name, negatives) for name in IN_BATCH for negatives in strategies(name)]
COVERING = [
    (name, (MESHES[1:] * len(PAIRS))[number], negatives, True, True) for number, (name, negatives) in enumerate(PAIRS)
]


@pytest.mark.parametrize(
    "case",
    sampled(COVERING, [(case,) for case in WHOLE if case not in COVERING], draw=4),
    ids=str,
)
def test_in_batch_losses_on_a_mesh_equal_the_dense_maths(case):
    prove(*case)


def test_the_covering_cases_see_every_mesh_by_every_strategy():
    assert {(case[0], case[2]) for case in COVERING} == set(PAIRS)
    assert {case[1:3] for case in COVERING} == set(itertools.product(MESHES[1:], ("local", "gather", "ring")))


@pytest.mark.parametrize("name", IN_BATCH)
def test_the_dense_maths_with_nothing_masked_is_the_loss_itself(name):
    check(value_and_gradients(IN_BATCH[name], jnp.ones(ROWS)), expected(name, 1, "gather", False, False))


@pytest.mark.parametrize("name", [name for name, case in IN_BATCH.items() if "has_hard_negative" not in case.rows])
def test_padding_leaves_the_loss_of_the_real_rows(name):
    case = IN_BATCH[name]
    numbers = {key: jnp.float32(value) for key, value in case.numbers.items()}
    real = case.call(case.arrays, numbers, keep=REAL)
    wanted = real if real.ndim == 0 else real.mean()
    np.testing.assert_allclose(expected(name, 1, "gather", True, False)[0], wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ROW_BY_ROW)
def test_losses_without_other_rows_on_a_mesh(name):
    case, rows = ROW_BY_ROW[name], batch_sharding(make_mesh(4, 2))
    sharded = Case(case.loss, tuple(jax.device_put(x, rows) for x in case.arrays), case.numbers, others=case.others)
    check(value_and_gradients(sharded, jnp.ones(ROWS)), value_and_gradients(case, jnp.ones(ROWS)))


def test_every_public_loss_has_a_case():
    cases = {name.partition("/")[0] for name in IN_BATCH | ROW_BY_ROW}
    assert set(losses.__all__) == cases | NO_LOSS
    for name in losses.__all__:
        in_batch = "across" in inspect.signature(getattr(losses, name)).parameters
        assert in_batch == (name in IN_BATCH) or name in ("matryoshka", "adaptive_layers")


@pytest.mark.parametrize("name", [name for name, case in IN_BATCH.items() if not case.ring])
def test_losses_that_must_see_all_columns_refuse_the_ring(name):
    with pytest.raises(ValueError, match="'ring' is for losses that are sums over columns"):
        IN_BATCH[name].call(IN_BATCH[name].arrays, {}, across=Across(make_mesh(2, 1, jax.devices()[:2]), "ring"))


def test_choices_and_rows_that_do_not_go_are_refused():
    with unchecked_shapes(), pytest.raises(ValueError, match="'rings' is not one of local, gather, ring"):
        Across(make_mesh(2, 1, jax.devices()[:2]), "rings")
    x = jnp.ones((5, 3))
    with pytest.raises(ValueError, match="5 rows are not divisible by 2 devices: pad them"):
        losses.siglip(x, x, across=Across(make_mesh(2, 1, jax.devices()[:2])))
    with pytest.raises(ValueError, match="give `ids`"):
        losses.siglip(x, x, excluded=jnp.ones((5, 5), bool), across=Across(make_mesh(2, 1, jax.devices()[:2])))


def test_a_ring_never_holds_more_than_a_chunk_against_a_block():
    rows, width, chunk = 512, 8, 4
    mesh = make_mesh(4, 2)
    options = {"directions": DIRECTIONS, "across": Across(mesh, "ring", chunk=chunk)}
    loss = jax.value_and_grad(lambda q, d: losses.multiple_negatives_ranking(q, d, **options).mean(), (0, 1))
    x = jax.ShapeDtypeStruct((rows, width), jnp.float32, sharding=batch_sharding(mesh))
    text = jax.jit(loss).lower(x, x).compile().as_text()
    shapes = {tuple(map(int, dimensions.split(","))) for dimensions in re.findall(r"\w+\[([\d,]+)\]", text)}
    block = rows // 8
    assert (chunk, block) in shapes
    assert max(map(math.prod, shapes)) == block * width  # the embeddings themselves: twice a chunk against a block
    assert re.search(r" collective-permute(-start)?\(", text)
    assert not re.search(r" all-gather(-start)?\(", text)
