import jax
import jax.numpy as jnp
import pytest

from jaxemb.training.loop import check_compilations


def test_a_step_that_compiles_again_is_an_error():
    step = jax.jit(lambda x: x + 1)
    step(jnp.zeros(8))
    step(jnp.zeros(16))
    check_compilations(step, 2)
    step(jnp.zeros(17))
    with pytest.raises(RuntimeError, match="compiled 3 times for 2 shapes of batches"):
        check_compilations(step, 2)
