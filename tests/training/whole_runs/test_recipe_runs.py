"""Whole runs of every recipe on generated data: on eight devices as on one, resumed bit for bit, scored on STS."""

import shutil

import jax
import numpy as np
import pytest

import jaxemb
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError, UserError
from jaxemb.reporting.plots import alignment_path, plot_alignment
from jaxemb.runs.directory import RunDirectory
from support.recipe_runs import config_of, scores_of
from support.runs import TINY, leaves, losses_of
from support.tiers import sampled


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    sampled(
        ["distillation"],
        ["sbert_classification", "sbert_regression", "sbert_triplet", "simcse", "supervised_simcse"],
    ),
)
def test_a_run_resumes_bit_for_bit(kind, folder):
    config = config_of(kind, folder)
    whole = jaxemb.train(config, quiet=True)
    expected = leaves(whole.run_dir)
    assert ("['objective']['classifier']['kernel']" in expected) == (kind == "sbert_classification")

    killed = folder / "killed"
    shutil.copytree(whole.run_dir, killed)
    shutil.rmtree(killed / "checkpoints" / "4")  # as if killed after step 2
    resumed = jaxemb.train({**config, "output_dir": str(killed)}, resume=True, quiet=True)
    for path, leaf in leaves(killed).items():
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path)
    assert resumed.sts == whole.sts


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["distillation", "sbert_classification", "sbert_regression", "sbert_triplet", "simcse", "supervised_simcse"],
)
def test_eight_devices_are_one(kind, folder):
    config = config_of(kind, folder)
    whole = jaxemb.train(config, quiet=True)
    expected = leaves(whole.run_dir)
    alone = jaxemb.train({**config, "output_dir": str(folder / "alone")}, quiet=True, devices=jax.devices()[:1])
    assert losses_of(alone.run_dir) == pytest.approx(losses_of(whole.run_dir), abs=1e-5)
    # Gradients that are zero, of which Adam amplifies the rounding: what is added to all vectors changes no distance.
    no_gradient = ["['key']['bias']", *(["['output_norm']['bias']"] if kind == "sbert_triplet" else [])]
    for path, leaf in leaves(alone.run_dir).items():
        if not path.endswith(tuple(no_gradient)):
            np.testing.assert_allclose(leaf, expected[path], atol=1e-4, err_msg=path)


@pytest.mark.slow
def test_sentence_bert_in_two_stages(folder):
    """STS goes on with the encoder of the NLI run's best checkpoint; the classifier stays behind."""
    first = jaxemb.train(config_of("sbert_classification", folder, "nli"), quiet=True)
    config = config_of("sbert_regression", folder, "sts") | {"model": {"init_from": f"{first.run_dir}@best"}}
    second = jaxemb.train(config, quiet=True)
    assert second.sts.keys() == {"before training", "trained"}
    best = max(first.sts["trained"].spearman, max(scores_of(first.run_dir).values()))
    assert second.sts["before training"].spearman == pytest.approx(best, abs=1e-6)
    assert not any("objective" in path for path in leaves(second.run_dir))


@pytest.mark.slow
def test_alignment_and_uniformity_are_drawn(folder, monkeypatch):
    config = config_of("simcse", folder)
    config["evaluation"]["sts"]["alignment"] = True
    run = RunDirectory(jaxemb.train(config, quiet=True).run_dir)
    assert [step for step, _, _ in alignment_path(run)] == [0, 2, 4]
    figure = run.alignment_plot.read_text()
    assert figure.count("<use ") >= 3  # a mark for each
    assert "uniformity" in figure
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "matplotlib is not installed" in plot_alignment(run)


@pytest.mark.slow
def test_epochs_become_steps(folder):
    config = config_of("sbert_regression", folder)
    config["training"] = {"epochs": 1.5, "batch_size": 16}
    result = jaxemb.train(config, quiet=True)
    steps = config_files.load_config(result.run_dir / "config.yaml").training.steps
    assert steps == -(-3 * 60 // 32) == max(losses_of(result.run_dir) | {steps: 0.0})
    jaxemb.train(config, resume=True, quiet=True)
    with pytest.raises(UsageError, match=r"training.steps: 3 here, but 1.5 epochs of 60 examples are 6"):
        jaxemb.train({**config, "training": {**config["training"], "steps": 3}, "output_dir": str(folder / "b")})
    longer = {**config, "training": {"epochs": 2.0, "batch_size": 16}}
    jaxemb.train(longer, resume=True, quiet=True)
    assert (result.run_dir / "checkpoints" / "8").is_dir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["objective"].update(kind="simcse"),
            "simcse learns from single sentences .*; data.sources.0 .kind nli",
        ),
        (
            lambda c: c["objective"].update(kind="labse"),
            "labse does not use labels .*, but data.sources.0 gives them",
        ),
        (lambda c: c["objective"].update(classes=2), "objective.classes: 2, but there is a label 2"),
        (lambda c: c["objective"].update(features=["u", "u"]), "name at least one, and each once"),
        (
            lambda c: c["data"].update(holdout={"pairs_per_language": 9}),
            "sbert_classification has no translation pairs to hold out",
        ),
        (lambda c: c["training"].update(best_metric="all_accuracy"), "all_accuracy is not scored in this run"),
        (lambda c: c["optimizer"].update(warmup_steps=2), r"warmup_share: 0.5 or 2 steps .* set one of the two"),
        (lambda c: c["training"].update(steps=0), "steps: set steps or epochs, one of them is needed"),
        (lambda c: c["evaluation"].update(sts={"paths": ["de.dev.csv"]}), r"de.dev.csv: there is no such file"),
        (lambda c: c["objective"].update(kind="custom", features=None), "custom.*has no `features`"),
    ],
)
def test_what_is_refused(folder, change, message):
    config = config_of("sbert_classification", folder)
    config["objective"].pop("features")
    change(config)
    with pytest.raises(UserError, match=message):
        jaxemb.train(config, quiet=True)
    assert not (folder / "run" / "checkpoints").exists()


@pytest.mark.slow
def test_simcse_refuses_to_collapse_unless_told_to(folder, tmp_path):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = config_of("simcse", folder)
    config["model"]["encoder"] = {**TINY, **still}
    with pytest.raises(
        UsageError, match=r"objective.kind: simcse needs dropout, the only difference between .*ablation: no_dropout"
    ):
        jaxemb.train(config, quiet=True)
    config["objective"]["ablation"] = "no_dropout"
    first = jaxemb.train(config, quiet=True)
    config = {**config_of("simcse", folder, "second"), "model": {"init_from": str(first.run_dir)}}
    config["objective"]["ablation"], config["output_dir"] = "no_dropout", str(folder / "third")
    with pytest.raises(UsageError, match=r"objective.ablation: no_dropout needs model.encoder's hidden_dropout_prob"):
        jaxemb.train(config, quiet=True)


def test_an_objective_of_ones_own_takes_any_source(folder):
    config = config_of("sbert_classification", folder)
    config["objective"] = {"kind": "custom"}
    with pytest.raises(UsageError, match=r"objective.kind: custom is a function passed to jaxemb.train"):
        jaxemb.train(config, quiet=True)
    seen = set()

    def objective(params, batch, key):
        seen.update(batch)
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(params)) * batch["label"].mean(), {}

    jaxemb.train(config, objective=objective, quiet=True)
    assert "label" in seen
