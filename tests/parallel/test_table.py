"""Lookups in a table of words that lies over a mesh are those of the whole table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.losses import masked_lm
from jaxemb.parallel import is_split_by_rows, lookup, make_mesh, masked_lm_over_mesh
from support.split_table import BATCH, MESHES, ROWS, WIDTH, arrays, mesh_of, placed


def test_what_is_split_by_rows():
    mesh = make_mesh(2, 4, jax.devices()[:8])
    assert is_split_by_rows(mesh, jnp.zeros((4096, 8)))
    assert not is_split_by_rows(mesh, jnp.zeros((4097, 8))), "split by columns"
    assert not is_split_by_rows(make_mesh(8, 1, jax.devices()[:8]), jnp.zeros((4096, 8)))
    assert not is_split_by_rows(mesh, jnp.zeros((48, 8))), "small"


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", MESHES)
def test_a_lookup_is_that_of_the_whole_table(shape, dtype):
    mesh = mesh_of(shape)

    def loss(table, ids, weights, find):
        found = find(table, ids)
        assert found.dtype == dtype
        return jnp.sum(found.astype(jnp.float32) * weights), found

    def ours(table, ids):
        return lookup(table, ids, mesh=mesh, dtype=dtype)

    def theirs(table, ids):
        return table.astype(dtype)[ids]

    step = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=3)
    (_, found), gradient = step(*placed(mesh, *arrays()), ours)
    table, ids, weights = arrays()
    np.testing.assert_array_equal(found.astype(jnp.float32), theirs(table, ids).astype(jnp.float32))
    # In float32, whatever the type of the words: only the cotangents are rounded.
    wanted = np.zeros((ROWS, WIDTH))
    np.add.at(wanted, np.asarray(ids), np.asarray(weights.astype(dtype), np.float64))
    assert gradient.dtype == jnp.float32
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-6)
    assert gradient.sharding.spec[0] == "fsdp"
    text = step.lower(*placed(mesh, *arrays()), ours).compile().as_text()
    assert f"[{ROWS},{WIDTH}]" not in text, "no device has the whole table"
    assert "reduce-scatter" in text


def test_ids_and_labels_beyond_the_table_are_nan():
    """Those of a table that is not split, too; and NaN where there is no label reaches no gradient."""
    table, ids, weights = arrays()
    mesh = mesh_of((2, 4))
    beyond = ids.at[3, 1].set(ROWS).at[9, 0].set(-ROWS - 1)
    table_there, ids_there, vectors_there = placed(mesh, table, beyond, weights[:, 0].at[5].set(jnp.nan))
    found = np.isnan(jax.jit(lambda table, ids: lookup(table, ids, mesh=mesh))(table_there, ids_there)).all(2)
    np.testing.assert_array_equal(np.argwhere(found), [[3, 1], [9, 0]])
    labels = ids[:, 1].at[5].set(-100).at[11].set(ROWS)

    def loss(table, vectors, rows):
        each = masked_lm_over_mesh(vectors, labels, table, jnp.zeros(ROWS), mesh=rows, chunk=300)
        return jnp.sum(jnp.where(jnp.arange(BATCH) == 11, 0.0, each)), each

    by = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=2)
    for rows, arguments in ((mesh, (table_there, vectors_there)), (mesh_of((8, 1)), (table, vectors_there))):
        (_, each), gradient = by(*arguments, rows)
        np.testing.assert_array_equal(np.isnan(each), np.arange(BATCH) == 11)
        wanted = jax.grad(lambda t: masked_lm(weights[:, 0], labels.at[11].set(-1), t, None).sum())(table)
        np.testing.assert_allclose(gradient, wanted, atol=3e-6 * np.abs(wanted).max())
