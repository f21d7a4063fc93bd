import jax
import jax.numpy as jnp
import pytest

from jaxemb.training.loop.compilations import check_compilations, compilations_of


def test_a_step_that_compiles_again_is_an_error():
    step = jax.jit(lambda x: x + 1)
    step(jnp.zeros(3))
    with compilations_of(step) as compiled:
        for length in (3, 8, 16, 8, 16):
            step(jnp.zeros(length))
        assert compiled() == 2
        check_compilations(compiled(), 2)
        step(jnp.zeros(17))
        with pytest.raises(RuntimeError, match="compiled 3 times for 2 shapes of batches"):
            check_compilations(compiled(), 2)
    step(jnp.zeros(18))
    assert compiled() == 3
