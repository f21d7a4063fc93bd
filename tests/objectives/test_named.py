import jax.numpy as jnp

from jaxemb.objectives.named import named


def objective(params, batch, key):
    loss = params["encoder"] * params["objective"]["classifier"] + batch["x"]
    return loss, {"accuracy": loss + 1}


def test_an_objective_finds_its_own_parameters_and_its_metrics_carry_its_name():
    params = {"encoder": jnp.float32(2.0), "objective": {"classifier": 3.0, "nli": {"classifier": 5.0}}}
    loss, metrics = named("nli", objective)(params, {"x": 1.0}, None)
    assert (float(loss), metrics) == (11.0, {"accuracy/nli": 12.0})
    loss, metrics = named("main", objective)(params, {"x": 1.0}, None)
    assert (float(loss), metrics) == (7.0, {"accuracy/main": 8.0})


def test_one_without_parameters_of_its_own():
    seen = {}

    def loss(params, batch, key):
        seen.update(params)
        return jnp.float32(0.0), {}

    named("sts", loss)({"encoder": 1}, {}, None)
    assert seen == {"encoder": 1, "objective": {}}
