"""Progressive stacking: what is copied, and a run of several stages as one."""

import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxemb
from jaxemb import models
from jaxemb.config import BertConfig, ModelConfig, OptimizerConfig
from jaxemb.errors import UsageError, UserError
from jaxemb.huggingface import save_tokenizer
from jaxemb.models.paths import at_path, list_paths
from jaxemb.parallel import make_mesh
from jaxemb.runs.metrics import read_metrics
from jaxemb.runs.state import TrainState
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.stacking import stack_layers, stack_state
from jaxemb.training.step.train_step import init_state
from support.runs import ENGLISH, leaves, losses_of
from support.tiers import sampled
from support.tiny_models import tiny_tokenizer


def model_of(layers, inside=32):
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": inside}
    return ModelConfig(encoder=BertConfig(**sizes, num_hidden_layers=layers, max_position_embeddings=16))


@pytest.mark.parametrize(("shallow", "deep"), sampled([(2, 6)], [(1, 2), (3, 6)]))
def test_layer_i_is_layer_i_modulo_theirs_and_all_else_stays(shallow, deep):
    params = models.init(model_of(shallow), jax.random.key(0))
    stacked = stack_layers(params, deep)
    wanted = models.init(model_of(deep), jax.random.key(1))
    assert jax.tree.map(jnp.shape, stacked) == jax.tree.map(jnp.shape, wanted)
    for path in list_paths(params):
        before, after = at_path(params, path), at_path(stacked, path)
        if path.startswith("encoder/layers/"):
            for layer in range(deep):
                np.testing.assert_array_equal(after[layer], before[layer % shallow])
        else:
            np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("reset", [False, True])
def test_moments_are_copied_or_begin_again_and_the_schedule_goes_on(reset):
    mesh = make_mesh(2, 2, jax.devices()[:4])
    optimizer = optimizers.build(OptimizerConfig(), 100)
    wide = model_of(2, inside=512)  # so that fsdp splits it
    state = init_state(models.init(wide, jax.random.key(0)), optimizer, mesh)
    drawn = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(leaf.size), leaf.shape) if leaf.ndim else leaf + 7,
        state.opt_state,
    )
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state.opt_state)
    state = TrainState(state.step + 7, state.params, jax.device_put(drawn, shardings))
    after = stack_state(state, 4, optimizer, mesh, reset=reset)
    assert int(after.step) == 7
    kernel = after.params["encoder"]["layers"]["intermediate"]["kernel"]
    assert kernel.shape == (4, 16, 512)
    assert not kernel.sharding.is_fully_replicated

    def find(state, kind):
        nodes = jax.tree.leaves(state.opt_state, is_leaf=lambda node: isinstance(node, kind))
        return next(node for node in nodes if isinstance(node, kind))

    adam, before = find(after, optax.ScaleByAdamState), find(state, optax.ScaleByAdamState)
    assert int(adam.count) == (0 if reset else 7)  # the bias of moments that begin at zero is corrected anew
    assert int(find(after, optax.ScaleByScheduleState).count) == 7
    for moments, old in ((adam.mu, before.mu), (adam.nu, before.nu)):
        if reset:
            assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(moments))
        else:
            jax.tree.map(np.testing.assert_array_equal, moments, stack_layers(jax.device_get(old), 4))
    whole = models.init(model_of(4, inside=512), jax.random.key(0))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, init_state(whole, optimizer, mesh))


@pytest.fixture
def config(values, tmp_path):
    """Pre-training on pairs and single sentences in two stages: 1 and 2 layers, 3 steps each."""
    chosen = random.Random(1)
    lines = {" ".join(chosen.choice(ENGLISH) for _ in range(chosen.randint(2, 6))) for _ in range(100)}
    (tmp_path / "text.txt").write_text("\n".join(sorted(lines)) + "\n")
    values["data"]["sources"] += [{"kind": "text", "path": "text.txt", "language": "en"}]
    values["data"]["max_length"] = 24
    values["model"] = {"encoder": {**values["model"]["encoder"], "num_hidden_layers": 2}}
    values["objective"] = {"kind": "mlm"}
    values["training"] |= {"steps": 6, "checkpoint_every": 2, "evaluate_every": 4, "keep_checkpoints": 20}
    values["training"]["stacking"] = {"stages": [{"layers": 1, "steps": 3}]}
    return values


@pytest.mark.slow
@pytest.mark.parametrize("last", sampled([3], [4]), ids=["at the end of a stage", "inside a stage"])
def test_stages_resume_bit_for_bit(config, tmp_path, last):
    whole = jaxemb.train(config, quiet=True)
    run_dir, expected = whole.run_dir, leaves(whole.run_dir)
    assert expected["['encoder']['layers']['intermediate']['kernel']"].shape[0] == 2
    assert sorted(int(path.name) for path in (run_dir / "checkpoints").iterdir()) == [2, 3, 4, 6]
    assert whole.heldout.keys() == {"untrained", "trained"}
    scored = [line["step"] for line in read_metrics(run_dir / "metrics.jsonl") if "evaluation/all_accuracy" in line]
    assert scored == [0, 4, 6]
    # Every checkpoint has the depth of its stage, and is a model.
    for step, layers in ((3, 1), (4, 2)):
        embedder = jaxemb.load(f"{run_dir}@{step}")
        assert embedder.config.encoder.num_hidden_layers == layers
        assert np.isfinite(embedder.encode(["one two"])).all()
    at_border, after = jaxemb.load(f"{run_dir}@3").params, jaxemb.load(f"{run_dir}@4").params
    assert len(at_border["encoder"]["layers"]["attention"]["query"]["kernel"]) == 1
    two = after["encoder"]["layers"]["attention"]["query"]["kernel"]
    assert float(jnp.abs(two[0] - two[1]).max()) > 0  # copies that each learn

    killed = tmp_path / "killed"
    shutil.copytree(run_dir, killed)
    for path in (killed / "checkpoints").iterdir():
        if int(path.name) > last:
            shutil.rmtree(path)
    again = jaxemb.train({**config, "output_dir": str(killed)}, resume=True, quiet=True)
    for path, leaf in leaves(killed).items():
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path)
    assert again.heldout["trained"] == whole.heldout["trained"]


@pytest.mark.full
@pytest.mark.slow
def test_stages_on_eight_devices_are_those_on_one(config, tmp_path):
    run_dir = jaxemb.train(config, quiet=True).run_dir
    expected = leaves(run_dir)
    alone = jaxemb.train({**config, "output_dir": str(tmp_path / "alone")}, quiet=True, devices=jax.devices()[:1])
    assert losses_of(alone.run_dir) == pytest.approx(losses_of(run_dir), abs=1e-5)
    for path, leaf in leaves(alone.run_dir).items():
        if not path.endswith("['key']['bias']"):
            np.testing.assert_allclose(leaf, expected[path], atol=1e-4, err_msg=path)


@pytest.mark.full
@pytest.mark.slow
def test_the_encoder_goes_on_to_its_next_task_and_the_head_stays_as_it_was(config, tmp_path):
    """What follows the encoder is neither trained nor decayed; translation ranking starts from all that there is."""
    config["optimizer"]["weight_decay"] = 0.5
    config["model"]["vocab_multiple"] = 64  # the next task does without
    first = jaxemb.train(config, quiet=True)
    drawn = models.init(first.embedder.config, jax.random.key(0))["dense"]["kernel"]
    np.testing.assert_allclose(first.embedder.params["dense"]["kernel"], drawn, rtol=1e-6)
    assert "objective" not in first.embedder.params
    config["data"]["sources"] = config["data"]["sources"][:1]
    config |= {"output_dir": str(tmp_path / "second"), "objective": {"kind": "labse"}}
    config |= {"model": {"init_from": str(first.run_dir)}, "training": {"steps": 2, "batch_size": 16}}
    second = jaxemb.train(config, quiet=True)
    rows = {
        name: len(run.embedder.params["encoder"]["word_embeddings"]["embedding"])
        for name, run in (("first", first), ("second", second))
    }
    assert rows["first"] % 64 == 0
    assert rows["second"] == len(second.embedder.tokenizer) < rows["first"]
    before, after = (run.embedder.params["encoder"]["layers"]["output"]["kernel"] for run in (first, second))
    assert 0 < np.abs(after - before).max() < 3e-3  # two steps of 1e-3 away


def test_a_tokenizer_without_a_mask_token_is_refused_before_the_data_are_read(config, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.mask_token = None
    save_tokenizer(tokenizer, tmp_path / "words")
    config["tokenizer"] = {"path": str(tmp_path / "words")}
    with pytest.raises(UsageError, match="the tokenizer has no mask token"):
        jaxemb.train(config, quiet=True)
    assert not list((tmp_path / "cache").glob("pairs-*"))


QWEN = {"model_type": "qwen3", "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 8}


def stages(*layers):
    return {"stages": [{"layers": one, "steps": 2} for one in layers]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["training"].update(stacking=stages(2, 3)), "2 layers cannot be stacked to 3"),
        (lambda c: c["training"].update(stacking=stages(2)), "2 layers cannot be stacked to 2"),
        (lambda c: c["training"].update(stacking=stages()), "stages: at least one is needed"),
        (lambda c: c["training"].update(steps=3), r"the stages take 3 steps, so training.steps .3. must be more"),
        (
            lambda c: c["training"].update(steps=0, epochs=1.0),
            "stages are counted in steps: set training.steps instead of epochs",
        ),
        (lambda c: c["model"].update(init_from="somewhere"), r"model.init_from already has all layers"),
        (lambda c: c["model"].update(towers="untied"), "trains one encoder: set it to tied"),
        (lambda c: c["model"].update(encoder=QWEN), "qwen3 attends to earlier tokens only"),
        (lambda c: c["data"].update(sources=c["data"]["sources"][1:]), "mlm has no translation pairs to hold out"),
        (lambda c: c["objective"].update(masking={"share": 1.5}), "objective.masking.share"),
        (lambda c: c["training"].update(freeze=["encoder/nothing"]), "matches no parameter"),
    ],
)
def test_what_is_refused(config, change, message, tmp_path):
    change(config)
    with pytest.raises((UsageError, UserError), match=message):
        jaxemb.train(config, quiet=True)
    assert not (tmp_path / "run" / "checkpoints").exists()
