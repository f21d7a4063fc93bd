"""What `Across` refuses."""

import jax
import jax.numpy as jnp
import pytest

from jaxemb import losses
from jaxemb.parallel import Across, make_mesh
from support.loss_cases import IN_BATCH
from support.loss_checks import unchecked_shapes


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
