"""LAMB and Adafactor on stacked layers are optax's own on each layer by itself, on any mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxemb.config import OptimizerConfig
from jaxemb.parallel import make_mesh, param_shardings
from jaxemb.training.step import optimizer as optimizers

LAYERS, STEPS = 3, 5
OURS = {"kind": "lamb", "schedule": "constant", "learning_rate": 0.01, "clip_norm": None}


def draw(seed):
    """Parameters, or gradients: a table, and stacked layers of different sizes."""
    rng = np.random.default_rng(seed)
    size = np.array([0.1, 1.0, 10.0])[:, None]
    layers = {
        "kernel": rng.normal(size=(LAYERS, 128, 130)) * size[..., None],
        "bias": rng.normal(size=(LAYERS, 130)) * size,
    }
    tree = {"encoder": {"layers": layers, "word_embeddings": {"embedding": rng.normal(size=(200, 128))}}}
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def apart(tree):
    """Each layer as a tree of its own."""
    layers = [jax.tree.map(lambda leaf, i=i: leaf[i], tree["encoder"]["layers"]) for i in range(LAYERS)]
    return {
        "word_embeddings": tree["encoder"]["word_embeddings"],
        **{f"layer_{i}": one for i, one in enumerate(layers)},
    }


def run(optimizer, params, gradients):
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for gradient in gradients:
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def theirs(kind):
    if kind == "adafactor":
        return optax.adafactor(0.01)
    adam, decay = optax.scale_by_adam(0.9, 0.999, 1e-8), optax.add_decayed_weights(0.01, optimizers.decay_mask)
    trust = optax.masked(optax.scale_by_trust_ratio(), optimizers.decay_mask)
    return optax.chain(adam, decay, trust, optax.scale(-0.01))


@pytest.mark.parametrize("warmup", [{"warmup_steps": 4}, {"warmup_share": 0.4}])
def test_the_first_step_of_warmup_learns(warmup):
    """With a share of the peak, as the help says; PyTorch's schedules begin at 0."""
    rate = optimizers.schedule(OptimizerConfig(learning_rate=0.8, **warmup), 10)
    wanted = [0.2, 0.4, 0.6, 0.8, *0.8 * np.arange(6, 0, -1) / 6]
    np.testing.assert_allclose([rate(step) for step in range(10)], wanted, rtol=1e-6)
    description = OptimizerConfig.model_fields["warmup_steps"].description
    assert "so the first step uses peak / W, not 0" in " ".join(description.split())


@pytest.mark.parametrize(("kind", "decay"), [("lamb", 0.01), ("adafactor", 0.0)])
def test_stacked_layers_are_layers_by_themselves(kind, decay):
    ours = optimizers.build(OptimizerConfig(**OURS | {"kind": kind, "weight_decay": decay}), STEPS)
    params, gradients = draw(0), [draw(seed) for seed in range(1, STEPS + 1)]
    found, state = run(ours, params, gradients)
    wanted, _ = run(theirs(kind), apart(params), map(apart, gradients))
    for path, leaf in jax.tree_util.tree_leaves_with_path(apart(found)):
        other = wanted
        for key in path:
            other = other[key.key]
        np.testing.assert_allclose(leaf, other, rtol=2e-6, atol=2e-6, err_msg=jax.tree_util.keystr(path))
    # It is not what looking at all layers at once gives.
    whole = {"lamb": optax.lamb(0.01, eps=1e-8, weight_decay=0.01), "adafactor": optax.adafactor(0.01)}[kind]
    at_once, _ = run(whole, params, gradients)
    kernels = [tree["encoder"]["layers"]["kernel"] for tree in (found, at_once)]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
    # Adafactor's state is small.
    held = sum(leaf.size for leaf in jax.tree.leaves(state)) / sum(leaf.size for leaf in jax.tree.leaves(params))
    assert held > 2 if kind == "lamb" else held < 0.05
    # Split over devices nothing changes.
    mesh = make_mesh(2, 4, jax.devices()[:8])
    placed = jax.device_put(params, param_shardings(mesh, params))
    spread, _ = run(ours, placed, [jax.device_put(g, param_shardings(mesh, g)) for g in gradients])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), spread, found)
