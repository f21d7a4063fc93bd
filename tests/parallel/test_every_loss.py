"""One proof for all losses: on any mesh, value and gradient are those of the plain maths of the global batch."""

import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import losses
from jaxemb.parallel import Across, batch_sharding, make_mesh
from support.dense_losses import (
    CHUNK,
    IDS,
    PAIRS,
    REAL,
    Dense,
    check,
    compiled,
    inputs,
    strategies,
    value_and_gradients,
)
from support.loss_cases import IN_BATCH, NO_LOSS, ROW_BY_ROW, ROWS, Case
from support.tiers import sampled

MESHES = ((1, 1), (2, 1), (4, 1), (8, 1), (4, 2), (2, 4))
JUNK = np.where(REAL, 0.0, np.resize([np.nan, np.inf, -np.inf], ROWS)).astype(np.float32)


@functools.cache
def expected(name: str, size: int, negatives: str, padded: bool, hashed: bool):
    dense = Dense(size, negatives, padded, hashed)
    return value_and_gradients(IN_BATCH[name], dense.weights_of(ROWS), across=dense)


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
