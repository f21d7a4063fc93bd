"""Whole runs with two untied towers: trained, scored, loaded, resumed, exported, started from."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

import jaxemb
from jaxemb import evaluation
from jaxemb.cli import encode as cli_encode
from jaxemb.cli import evaluate as cli_evaluate
from jaxemb.cli import export as cli_export
from jaxemb.config import files as config_files
from jaxemb.data import gather
from jaxemb.encoding import Towers
from jaxemb.errors import UsageError
from jaxemb.huggingface import export
from jaxemb.loading import load_towers
from support.runs import TINY, losses_of
from support.tiny_models import ENCODER, tiny_embedder

TEXTS = ["one two", "", "drei Haus"]
UNTIED = {"towers": "untied", "encoder": TINY}


def params_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def apart(towers):
    return np.abs(towers.anchor.encode(TEXTS) - towers.positive.encode(TEXTS)).max()


@pytest.mark.slow
def test_two_towers_in_a_run(values, tmp_path, capsys):
    wide = {**TINY, "intermediate_size": 1024}  # so that fsdp splits it
    values |= {"model": {**UNTIED, "encoder": wide}, "mesh": {"data": 2, "fsdp": 4}, "export": {"verify": "jax"}}
    result = jaxemb.train(values, quiet=True)
    towers = result.towers
    assert not towers.tied
    assert result.embedder is towers.anchor
    assert towers.anchor.config.towers == "tied"
    assert apart(towers) > 1e-3
    # The run and its export, by either tower.
    for model in (result.run_dir, result.export_dir):
        for side in ("anchor", "positive"):
            wanted = getattr(towers, side).encode(TEXTS)
            np.testing.assert_allclose(jaxemb.load(model, tower=side).encode(TEXTS), wanted, atol=1e-6)
        with pytest.raises(UsageError, match=r"has two towers: choose .*`--tower anchor`.*\(in Python `tower=`\)"):
            jaxemb.load(model)
    np.testing.assert_allclose(
        jaxemb.load(result.export_dir / "positive").encode(TEXTS), towers.positive.encode(TEXTS), atol=1e-6
    )
    # The command line: one tower to encode with, both to evaluate.
    (tmp_path / "texts.txt").write_text("\n".join(["one two", "drei Haus"]) + "\n")
    command = [str(result.run_dir), str(tmp_path / "texts.txt"), "--output", str(tmp_path / "out.npy"), "--quiet"]
    with pytest.raises(UsageError, match="has two towers"):
        cli_encode.run(command)
    assert cli_encode.run([*command, "--tower", "positive"]) == 0
    np.testing.assert_allclose(
        np.load(tmp_path / "out.npy"), towers.positive.encode(["one two", "drei Haus"]), atol=1e-6
    )
    command = [str(result.export_dir), "--suite", "parallel", "--data", str(tmp_path / "en-de.tsv"), "--quiet"]
    scores = {}
    for flags in ([], ["--tower", "anchor"], ["--tower", "positive"]):
        assert cli_evaluate.run([*command, *flags]) == 0
        scores[tuple(flags[1:])] = capsys.readouterr().out
    assert len(set(scores.values())) == 3
    wanted = evaluation.parallel(evaluation.encode_fns(towers), [tmp_path / "en-de.tsv"])
    for direction in (wanted.averages[0].forward, wanted.averages[0].backward):
        assert f" {direction:.1f} " in scores[()]
    # Killed after a checkpoint: the rest is bit-equal.
    killed = tmp_path / "killed"
    shutil.copytree(result.run_dir, killed)
    shutil.rmtree(killed / "checkpoints" / "4")
    again = jaxemb.train({**values, "output_dir": str(killed)}, resume=True, quiet=True)
    assert losses_of(killed) == losses_of(result.run_dir)
    for side in ("anchor", "positive"):
        params_equal(getattr(again.towers, side), getattr(towers, side))
    with pytest.raises(UsageError, match=r"model\.towers: 'untied' in the run, 'tied' now"):
        jaxemb.train({**values, "model": {"encoder": TINY}}, resume=True, quiet=True)


@pytest.mark.slow
def test_starting_from_one_tower_or_from_two(values, tmp_path, capsys):
    encoder = ENCODER.model_copy(update={"num_hidden_layers": 1})
    one, other = (tiny_embedder(seed, encoder=encoder) for seed in (0, 1))
    export(one, tmp_path / "one", verify=None)
    values["training"] |= {"steps": 1, "checkpoint_every": 1}
    values["optimizer"] = {"learning_rate": 1e-12}
    values["model"] = {"init_from": str(tmp_path / "one"), "towers": "untied"}
    begun = jaxemb.train(values, quiet=True).towers
    assert apart(begun) < 1e-6
    np.testing.assert_allclose(begun.positive.encode(TEXTS), one.encode(TEXTS), atol=1e-6)
    export(Towers(one, other), tmp_path / "two", verify=None)
    values["output_dir"] = str(tmp_path / "second")
    tied = {**values, "model": {"init_from": str(tmp_path / "two")}}
    with pytest.raises(UsageError, match=r"model.towers: tied here, but model.init_from \(.*two\) has two towers"):
        jaxemb.train(tied, quiet=True)
    values["model"] = {"init_from": str(tmp_path / "two"), "towers": "untied"}
    frozen = {**values["training"], "freeze": ["anchor/.*"]}
    result = jaxemb.train({**values, "training": frozen, "optimizer": {"learning_rate": 1e-2}}, quiet=True)
    params_equal(result.towers.anchor, one)
    # What is reported is each side through its own tower, and not one of them for both.
    config = config_files.load_config(result.run_dir / "config.yaml")
    heldout = gather(config.data, config.training.seed).heldout
    before = Towers(one, other).map(lambda tower: replace(tower, config=result.embedder.config))
    of_both, of_one = (
        evaluation.evaluate_heldout(evaluation.encode_fns(towers), heldout, config.evaluation)
        for towers in (before, Towers(before.anchor, before.anchor))
    )
    assert result.heldout["before training"] == of_both != of_one
    assert np.abs(result.towers.positive.encode(TEXTS) - other.encode(TEXTS)).max() > 1e-4
    # One tower of two, as a model of its own.
    assert cli_export.run([str(result.run_dir), str(tmp_path / "out"), "--tower", "positive", "--verify", "jax"]) == 0
    params_equal(jaxemb.load(tmp_path / "out"), result.towers.positive)


@pytest.mark.full
@pytest.mark.slow
def test_two_towers_that_differ_and_new_heads_of_two(values, tmp_path):
    encoder = ENCODER.model_copy(update={"num_hidden_layers": 1})
    one, other = (tiny_embedder(seed, encoder=encoder) for seed in (0, 1))
    export(Towers(one, other), tmp_path / "two", verify=None)
    values["training"] |= {"steps": 1, "checkpoint_every": 1}
    values["optimizer"] = {"learning_rate": 1e-12}
    values["model"] = {"init_from": str(tmp_path / "two"), "towers": "untied"}
    unlike = tiny_embedder(1, encoder=encoder, pooling="mean")
    export(unlike, tmp_path / "two" / "positive", replace=True, verify=None)
    with pytest.raises(UsageError, match="differ in more than their weights"):
        jaxemb.train({**values, "output_dir": str(tmp_path / "first")}, quiet=True)
    head = {"new_head": True, "pooling": "mean", "dense": None}
    export(other, tmp_path / "two" / "positive", replace=True, verify=None)
    values |= {"output_dir": str(tmp_path / "head"), "model": {**values["model"], **head}}
    with_head = jaxemb.train(values, quiet=True).towers
    for tower, base in ((with_head.anchor, one), (with_head.positive, other)):
        assert tower.params.keys() == {"encoder"}
        table = base.params["encoder"]["word_embeddings"]["embedding"]
        np.testing.assert_allclose(tower.params["encoder"]["word_embeddings"]["embedding"], table, atol=1e-6)


@pytest.mark.slow
def test_adapters_of_two_towers(values, tmp_path):
    encoder = ENCODER.model_copy(update={"num_hidden_layers": 1})
    export(tiny_embedder(encoder=encoder), tmp_path / "base", verify=None)
    values["model"] = {"init_from": str(tmp_path / "base"), "towers": "untied", "lora": {"rank": 2}}
    result = jaxemb.train(values, quiet=True)
    towers = load_towers(result.run_dir)
    base = jaxemb.load(tmp_path / "base")
    for side in ("anchor", "positive"):
        tower = getattr(towers, side)
        jax.tree.map(np.testing.assert_array_equal, tower.params["encoder"], base.params["encoder"])
        assert all(adapter["b"].any() for adapter in tower.params["lora"].values())
        params_equal(tower.merged(), getattr(result.towers, side))
    assert apart(result.towers) > 1e-5
    command = [str(result.run_dir), str(tmp_path / "adapter"), "--adapter"]
    with pytest.raises(UsageError, match="has two towers"):
        cli_export.run(command)
    assert cli_export.run([*command, "--tower", "positive"]) == 0
