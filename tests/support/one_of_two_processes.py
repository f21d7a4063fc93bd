"""What each process of `test_processes` runs: losses over the devices of both against the dense maths."""

import os
import sys


def main(port: str, number: str, *cases: str) -> None:
    """Each case is `LOSS STRATEGY`."""
    os.environ["JAX_NUM_CPU_DEVICES"] = "4"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.distributed.initialize(f"localhost:{port}", 2, int(number), initialization_timeout=120)

    import jax.numpy as jnp
    from jax.experimental.multihost_utils import process_allgather

    from jaxemb.parallel import Across, make_mesh
    from support.dense_losses import CHUNK, IDS, REAL, Dense, check, value_and_gradients
    from support.loss_cases import IN_BATCH

    assert len(jax.devices()) == 8
    assert len(jax.local_devices()) == 4
    weights = jnp.array(REAL, jnp.float32)
    for name, negatives in (case.split() for case in cases):
        across = Across(make_mesh(4, 2), negatives, tuple(map(jnp.array, IDS)), weights, CHUNK)
        actual = value_and_gradients(IN_BATCH[name], weights, across=across)
        dense = Dense(8 if negatives == "local" else 1, negatives, padded=True, hashed=True)
        wanted = value_and_gradients(IN_BATCH[name], dense.weights_of(0), across=dense)
        check(process_allgather(actual, tiled=True), wanted)
        print(f"{name} {negatives}: equal", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
