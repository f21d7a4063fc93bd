"""Steps of a run with several objectives: each is that of its own run, and moves only what its objective uses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxemb.config import OptimizerConfig, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError
from jaxemb.models.paths import list_paths, model_params
from jaxemb.parallel import make_mesh
from jaxemb.training.loop.compilations import compilations_of
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step import several_objectives
from jaxemb.training.step.freezing import overlay, select_trained
from jaxemb.training.step.program import Program
from jaxemb.training.step.train_step import init_state, put_batch
from support import steps
from support.tiers import sampled

SOURCES = {
    "main": {"kind": "tsv", "path": "a.tsv"},
    "nli": {"kind": "nli", "path": "b.jsonl"},
    "sts": {"kind": "sts", "path": "c.csv"},
}
OBJECTIVES = {
    "main": {"kind": "labse", "margin": 0.1},
    "nli": {"kind": "sbert_classification"},
    "sts": {"kind": "sbert_regression"},
}
OPTIMIZER = {"learning_rate": 1e-2, "weight_decay": 0.1, "warmup_steps": 3, "clip_norm": 0.5}


def values_of(model=None, **sections):
    encoder = {**steps.MODEL.encoder.model_dump(), "num_hidden_layers": 1, "intermediate_size": 64}
    return {
        "data": {"sources": [], "max_length": 16, "holdout": {"pairs_per_language": 0}},
        "tokenizer": {"vocab_size": 600},
        "model": {"encoder": encoder, "pooling": "mean", "dense": None, "normalize": False, **(model or {})},
        "optimizer": OPTIMIZER,
        "training": {"steps": 12, "batch_size": steps.ROWS, **sections.pop("training", {})},
        **sections,
    }


def mixed(**sections):
    """The config of all three."""
    values = values_of(**{"objective": OBJECTIVES["main"], **sections})
    values["data"]["sources"] = [
        source | ({"objective": name} if name != "main" else {}) for name, source in SOURCES.items()
    ]
    values["data"]["batches"] = "one_source"
    values["objectives"] = {name: OBJECTIVES[name] for name in ("nli", "sts")}
    return config_files.validate(TrainConfig, values, "test")


def alone(name):
    """The config of one."""
    values = values_of(objective=OBJECTIVES[name])
    values["data"]["sources"] = [SOURCES[name]]
    return config_files.validate(TrainConfig, values, "test")


def rows(name, number=0):
    """A batch of the source of an objective."""
    rng, batch = np.random.default_rng(number), steps.batch(2 * number)
    more = {
        "nli": {"label": rng.integers(0, 3, steps.ROWS).astype(np.int32)},
        "sts": {"score": rng.random(steps.ROWS).astype(np.float32)},
    }
    return batch | more.get(name, {})


def mesh_of(data=1, fsdp=1):
    return make_mesh(data, fsdp, jax.devices()[: data * fsdp])


def take(program, state, names):
    """One step of each objective in turn; the states before and after, on the host, and the metrics."""
    compiled = program.train_steps(program.config.training.steps, state)
    states, metrics = [jax.device_get(state)], []
    for number, name in enumerate(names):
        step = compiled[name] if program.config.objectives else compiled["main"]
        state, values = step(state, put_batch(rows(name, number), program.mesh))
        states.append(jax.device_get(state))
        metrics.append(jax.device_get(values))
    return states, metrics


def moments(tree):
    """The first moments of Adam in a part of the state: a tenth of the gradient after the first step."""
    (adam,) = [
        node
        for node in jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, optax.ScaleByAdamState))
        if isinstance(node, optax.ScaleByAdamState)
    ]
    return adam


@functools.cache
def step_alone(name):
    """The first step of a run with one objective, from the parameters of the run with three, on one device."""
    program = Program(alone(name), mesh_of())
    params = jax.device_get(Program(mixed(), mesh_of()).first_state(None).params)
    own = params["objective"].get(name)
    params = model_params(params) | ({} if own is None else {"objective": own})
    states, metrics = take(program, init_state(params, program.optimizer, program.mesh), [name])
    return states[-1], metrics[-1]


def assert_same(found, wanted, **tolerance):
    assert list_paths(found) == list_paths(wanted)
    for path, one, other in zip(list_paths(found), jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        if "key/bias" not in path:  # its gradient is zero: Adam amplifies rounding
            np.testing.assert_allclose(one, other, err_msg=path, **tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "fsdp"), sampled([(1, 1), (2, 2)], [(2, 1), (8, 1), (4, 1), (2, 4)]))
def test_each_step_is_that_of_a_run_with_its_objective_alone(data, fsdp):
    program = Program(mixed(), mesh_of(data, fsdp))
    tolerance = {"rtol": 0, "atol": 0} if data * fsdp == 1 else {"rtol": 1e-4, "atol": 1e-6}
    for name in OBJECTIVES:
        (before, after), (metrics,) = take(program, program.first_state(None), [name])
        wanted, wanted_metrics = step_alone(name)
        for metric in ("loss", "gradient_norm", "tokens"):
            np.testing.assert_allclose(metrics[metric], wanted_metrics[metric], err_msg=metric, **tolerance)
        own = wanted_metrics.keys() - metrics.keys()
        assert {f"{metric}/{name}" for metric in own} <= metrics.keys()
        found = moments(after.opt_state.model).mu
        gradient = moments(wanted.opt_state).mu
        assert_same(found, model_params(gradient), **tolerance)
        if "objective" in gradient:
            mu = moments(after.opt_state.own[name]).mu
            assert_same(mu["objective"][name], gradient["objective"], **tolerance)
        params = model_params(after.params) | {"objective": after.params["objective"].get(name)}
        # Adam's first update of a tiny gradient is as large as of any other: rounding shows.
        loose = tolerance if data * fsdp == 1 else {"rtol": 0, "atol": 1e-4}
        assert_same(model_params(params), model_params(wanted.params), **loose)
        if "objective" in wanted.params:
            assert_same(params["objective"], wanted.params["objective"], **loose)
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(found)) > 1e-4
        del before


@pytest.fixture(scope="module")
def sequence():
    """Steps of several objectives, on one device."""
    program = Program(mixed(), mesh_of())
    state = program.first_state(None)
    with compilations_of(_Named("train_step_nli")) as nli, compilations_of(_Named("train_step_sts")) as sts:
        states, metrics = take(program, state, ["nli", "sts", "main", "nli", "sts"])
    return states, metrics, (nli(), sts())


class _Named:
    def __init__(self, name):
        self.__name__ = name

    def __call__(self):
        """Never called."""


@pytest.mark.slow
def test_a_step_leaves_alone_what_its_objective_does_not_use(sequence):
    states, metrics, compiled = sequence
    assert compiled == (1, 1), "each objective is compiled once"
    for number, name in enumerate(["nli", "sts", "main", "nli", "sts"]):
        before, after = states[number], states[number + 1]
        classifier = [jax.tree.leaves((one.params["objective"], one.opt_state.own)) for one in (before, after)]
        same = all(np.array_equal(old, new) for old, new in zip(*classifier, strict=True))
        assert same == (name != "nli"), f"step {number + 1}, {name}"
        table = [one.params["encoder"]["word_embeddings"]["embedding"] for one in (before, after)]
        assert not np.array_equal(*table)
        assert after.opt_state.schedule.count == moments(after.opt_state.model).count == number + 1
        assert ("gradient_norm/objective" in metrics[number]) == (name == "nli")
    assert moments(states[-1].opt_state.own["nli"]).count == 2
    assert states[-1].opt_state.own.keys() == {"nli"}


TREE = {
    "encoder": {"dense": {"kernel": np.linspace(-1.0, 1.0, 6).reshape(2, 3), "bias": np.ones(3)}},
    "objective": {
        "classifier": {"kernel": np.full((3, 2), 0.3)},
        "nli": {"classifier": {"kernel": np.full((2, 2), -0.7), "bias": np.array([0.5, -0.5])}},
    },
}
ORDER = ["main", "main", "nli", "sts", "nli", "main", "sts", "sts", "nli"]
USED = {"main": ("encoder", "objective/classifier"), "nli": ("encoder", "objective/nli"), "sts": ("encoder",)}


def gradient_of(number, params):
    rng = np.random.default_rng(number)
    return jax.tree.map(lambda leaf: rng.normal(0.0, 1.0, leaf.shape).astype(np.float32), params)


def only(name, params):
    """The parameters that an objective uses."""
    own = {key: tree for key, tree in params["objective"].items() if f"objective/{key}" in USED[name]}
    return {"encoder": params["encoder"]} | ({"objective": own} if own else {})


def updated(config, order=ORDER):
    """The parameters after each update."""
    optimizer = several_objectives.build(config, 20, ["nli", "sts"])
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), TREE)
    state, found = optimizer.init(params), []
    for number, name in enumerate(order):
        part = only(name, params)
        updates, state = optimizer.update(gradient_of(number, part), state, part)
        assert list_paths(updates) == list_paths(part)
        params = overlay(params, optax.apply_updates(part, updates))
        found.append(params)
    return found, state


def test_as_adamw_of_pytorch_for_parameters_without_a_gradient():
    """What a step does not use has no gradient in sentence-transformers' trainer with several losses."""
    torch = pytest.importorskip("torch")
    config = OptimizerConfig(learning_rate=0.05, warmup_steps=4, weight_decay=0.3, clip_norm=1.0)
    found, _ = updated(config)
    paths = list_paths(TREE)
    theirs = {
        path: torch.nn.Parameter(torch.tensor(leaf, dtype=torch.float32))
        for path, leaf in zip(paths, jax.tree.leaves(TREE), strict=True)
    }
    groups = [
        {"params": [leaf for path, leaf in theirs.items() if path.endswith("kernel") == decayed],
         "weight_decay": 0.3 * decayed} for decayed in (True, False)
    ]  # fmt: skip
    optimizer, rate = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8), optimizers.schedule(config, 20)
    for number, name in enumerate(ORDER):
        optimizer.zero_grad()
        part = gradient_of(number, only(name, TREE))
        for path, leaf in zip(list_paths(part), jax.tree.leaves(part), strict=True):
            theirs[path].grad = torch.tensor(leaf)
        torch.nn.utils.clip_grad_norm_(theirs.values(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = float(rate(number))
        optimizer.step()
        for path, leaf in zip(paths, jax.tree.leaves(found[number]), strict=True):
            np.testing.assert_allclose(leaf, theirs[path].detach().numpy(), rtol=1e-5, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("kind", ["adamw", "lamb", "adafactor"])
def test_each_optimizer_updates_as_for_one_objective_and_leaves_the_rest_alone(kind):
    config = OptimizerConfig(kind=kind, learning_rate=0.05, weight_decay=0.3)
    found, _ = updated(config, ["main"] * 4 + ["nli", "sts"])
    plain = optimizers.build(config, 20)
    params = only("main", jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), TREE))
    state = plain.init(params)
    for number in range(4):
        updates, state = plain.update(gradient_of(number, params), state, params)
        params = optax.apply_updates(params, updates)
        for one, other in zip(jax.tree.leaves(only("main", found[number])), jax.tree.leaves(params), strict=True):
            # optax compiles the bias correction of each part separately: the last bit may differ.
            np.testing.assert_allclose(one, other, rtol=3e-7)
        kernel = found[number]["objective"]["nli"]["classifier"]["kernel"]
        np.testing.assert_array_equal(kernel, np.float32(TREE["objective"]["nli"]["classifier"]["kernel"]))
    main = [one["objective"]["classifier"]["kernel"] for one in found[3:]]
    nli = [one["objective"]["nli"]["classifier"]["kernel"] for one in found[3:]]
    np.testing.assert_array_equal(main[0], main[2])
    np.testing.assert_array_equal(nli[1], nli[2])
    assert not np.array_equal(nli[0], nli[1])


@pytest.mark.slow
def test_a_step_that_is_not_finite_changes_nothing():
    program = Program(mixed(training={"skip_not_finite": 1}), mesh_of())
    state = program.first_state(None)
    before = jax.device_get(state)
    batch = rows("sts") | {"score": np.full(steps.ROWS, np.nan, np.float32)}
    after, metrics = program.train_steps(12, state)["sts"](state, put_batch(batch, program.mesh))
    assert not np.isfinite(metrics["loss"])
    for old, new in zip(jax.tree.leaves(before[1:]), jax.tree.leaves(jax.device_get(after)[1:]), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(after.step) == 1


def test_what_is_frozen_is_not_trained_and_every_objective_trains_something():
    shapes = Program(mixed(), mesh_of()).abstract_state(0).params
    frozen = mixed(training={"freeze": ["objective/nli/.*", "encoder/layers/.*"]})
    trained = list_paths(select_trained(frozen)(shapes))
    assert trained
    assert not any(path.startswith(("objective/", "encoder/layers/")) for path in trained)
    assert not Program(frozen, mesh_of()).abstract_state(0).opt_state.own
    with pytest.raises(UsageError, match=r"training.freeze: nothing is left to train in the steps of objective$"):
        select_trained(mixed(training={"freeze": ["encoder/.*"]}))


@pytest.mark.slow
@pytest.mark.parametrize("reset", ["copy", "reset"])
def test_stacking(reset):
    encoder = {**values_of()["model"]["encoder"], "num_hidden_layers": 2}
    stacking = {"stages": [{"layers": 1, "steps": 2}], "optimizer_state": reset}
    program = Program(mixed(model={"encoder": encoder}, training={"stacking": stacking}), mesh_of())
    state = program.first_state(None)
    state, _ = program.train_steps(2, state)["nli"](state, put_batch(rows("nli"), program.mesh))
    before = jax.device_get(state)
    stacked = program.stacked(state, 2)
    after = jax.device_get(stacked)
    assert jax.tree.structure(after) == jax.tree.structure(program.abstract_state(3))
    np.testing.assert_array_equal(after.opt_state.schedule.count, 1)
    own = [moments(one.opt_state.own["nli"]) for one in (before, after)]
    assert own[0].count == 1
    assert own[1].count == (reset == "copy")
    stacked, metrics = program.train_steps(12, stacked)["sts"](stacked, put_batch(rows("sts", 1), program.mesh))
    assert np.isfinite(metrics["loss"])
    assert int(stacked.opt_state.schedule.count) == 2


@pytest.mark.slow
def test_lora_and_gradcache():
    """Only adapters, head and classifier move; chunks of a batch are the batch."""
    model = {"init_from": "somewhere", "lora": {"rank": 2}}
    found = {}
    for chunk in (None, 8):
        config = mixed(model=model, objective={**OBJECTIVES["main"], "chunk": chunk})
        program = Program(config, mesh_of())
        shapes = program.abstract_state(0).params
        rng = np.random.default_rng(0)
        params = jax.tree.map(lambda leaf: rng.normal(0.0, 0.1, leaf.shape).astype(np.float32), shapes)  # noqa: B023
        state = init_state(params, program.optimizer, program.mesh, program.trained)
        states, metrics = take(program, state, ["main", "nli"] if chunk is None else ["main"])
        found[chunk] = metrics[0], states[1]
        if chunk is None:
            moved = {
                path for path, old, new in zip(
                    list_paths(params), jax.tree.leaves(params), jax.tree.leaves(states[-1].params), strict=True
                ) if not np.array_equal(old, new)
            }  # fmt: skip
            assert moved
            assert all(path.startswith(("lora/", "objective/nli/")) for path in moved)
    np.testing.assert_allclose(found[8][0]["loss"], found[None][0]["loss"], rtol=1e-6)
    assert_same(
        moments(found[8][1].opt_state.model).mu, moments(found[None][1].opt_state.model).mu, rtol=1e-4, atol=1e-7
    )
