from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from support.split_table import BATCH, LENGTH, ROWS, WIDTH


@pytest.fixture(autouse=True)
def _strict_promotion() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def arrays(monkeypatch):
    monkeypatch.setattr("jaxemb.parallel.mesh.MIN_SHARDED_ELEMENTS", 1)
    rng = np.random.default_rng(0)
    table = jnp.asarray(rng.normal(size=(ROWS, WIDTH)), jnp.float32)
    ids = jnp.asarray(rng.integers(0, ROWS, (BATCH, LENGTH)), jnp.int32).at[0].set(7)  # one that comes often
    weights = jnp.asarray(rng.normal(size=(BATCH, LENGTH, WIDTH)), jnp.float32)
    return table, ids, weights
