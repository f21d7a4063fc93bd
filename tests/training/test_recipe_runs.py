"""Whole runs of every recipe on generated data: on eight devices as on one, resumed bit for bit, scored on STS."""

import functools
import json
import random
import re
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from transformers import BertTokenizerFast

import jaxemb
from jaxemb import huggingface, models
from jaxemb.config import DenseConfig, DistilBertConfig, ModelConfig, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import Batches, prepare, tokenize, train_tokenizer
from jaxemb.encoding import Embedder
from jaxemb.errors import UsageError, UserError
from jaxemb.parallel import make_mesh
from jaxemb.reporting.plots import alignment_path, plot_alignment
from jaxemb.reporting.summary import print_seeds
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics
from jaxemb.training.seeds import train_seeds
from jaxemb.training.teacher import Teacher
from support.runs import ENGLISH, GERMAN, TINY, leaves, losses_of
from support.tiers import sampled

RECIPES = {
    "sbert_classification": ({"kind": "nli", "path": "nli.jsonl"}, {"features": ["|u-v|", "u*v"]}),
    "sbert_regression": ({"kind": "sts", "path": "en.train.csv"}, {}),
    "sbert_triplet": ({"kind": "nli", "path": "nli.jsonl", "triplets": True}, {}),
    "simcse": ({"kind": "text", "path": "text.txt"}, {}),
    "distillation": ({"kind": "tsv", "path": "en-de.tsv"}, {"teacher": "teacher"}),
    "supervised_simcse": ({"kind": "nli", "path": "nli.jsonl", "triplets": True}, {"hard_negative_weight": 2.0}),
}


def sentences(count, seed, words=ENGLISH):
    chosen = random.Random(seed)
    return [" ".join(words[chosen.randrange(16)] for _ in range(chosen.randint(2, 5))) for _ in range(count)]


@pytest.fixture
def folder(tmp_path):
    """Files of every kind of source."""
    texts, others, wrong = (sentences(60, seed) for seed in range(3))
    chosen = random.Random(4)
    with (tmp_path / "nli.jsonl").open("w") as lines:
        for premise, entailed, contradicting in zip(texts, others, wrong, strict=True):
            for label, text in (("entailment", entailed), ("contradiction", contradicting), ("neutral", premise)):
                lines.write(json.dumps({"gold_label": label, "sentence1": premise, "sentence2": text}) + "\n")
    scored = [f"{a},{b},{chosen.randrange(6)}.0\n" for a, b in zip(texts, others, strict=True)]
    for split in ("train", "dev"):
        (tmp_path / f"en.{split}.csv").write_text("".join(scored))
    (tmp_path / "text.txt").write_text("\n".join(dict.fromkeys(texts + others)) + "\n")
    german = sentences(60, 0, GERMAN)
    (tmp_path / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(texts, german, strict=True)))
    write_teacher(tmp_path / "teacher")
    return tmp_path


@functools.cache
def teacher():
    """A tiny model of another architecture, width and vocabulary than the students."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ENGLISH]
    encoder = DistilBertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = ModelConfig(encoder=encoder, pooling="mean", dense=None, max_seq_length=16)
    params = jax.tree.map(lambda leaf: 10.0 * leaf, models.init(model, jax.random.key(5)))
    return Embedder(model, params, BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}))


@functools.cache
def exported_teacher():
    folder = Path(tempfile.mkdtemp()) / "teacher"
    huggingface.export(teacher(), folder, verify="jax")
    return folder


def write_teacher(folder):
    shutil.copytree(exported_teacher(), folder)


def config_of(kind, folder, name="run", **objective):
    source, settings = RECIPES[kind]
    if kind == "distillation":
        settings = {"teacher": str(folder / "teacher")}
    return {
        "output_dir": str(folder / name),
        "data": {
            "root": str(folder), "sources": [source], "cache_dir": str(folder / "cache"), "max_length": 16,
            "holdout": {"pairs_per_language": 0},
        },
        "tokenizer": {"vocab_size": 80},
        "model": {"encoder": TINY, "pooling": "mean", "dense": None, "normalize": False},
        "objective": {"kind": kind, **settings, **objective},
        "optimizer": {"learning_rate": 1e-3, "warmup_share": 0.5},
        "training": {"steps": 4, "batch_size": 16, "log_every": 1, "checkpoint_every": 2, "evaluate_every": 2},
        "evaluation": {"sts": {"paths": ["en.dev.csv"]}},
        "export": {"enabled": False},
    }  # fmt: skip


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
def test_eight_devices_are_one(kind, folder, monkeypatch):
    config = config_of(kind, folder)
    whole = jaxemb.train(config, quiet=True)
    expected = leaves(whole.run_dir)
    monkeypatch.setattr("jaxemb.training.run.make_mesh", functools.partial(make_mesh, devices=jax.devices()[:1]))
    alone = jaxemb.train({**config, "output_dir": str(folder / "alone")}, quiet=True)
    assert losses_of(alone.run_dir) == pytest.approx(losses_of(whole.run_dir), abs=1e-5)
    # Gradients that are zero, of which Adam amplifies the rounding: what is added to all vectors changes no distance.
    no_gradient = ["['key']['bias']", *(["['output_norm']['bias']"] if kind == "sbert_triplet" else [])]
    for path, leaf in leaves(alone.run_dir).items():
        if not path.endswith(tuple(no_gradient)):
            np.testing.assert_allclose(leaf, expected[path], atol=1e-4, err_msg=path)


@pytest.mark.slow
def test_sts_is_scored_and_chooses_the_best(folder):
    result = jaxemb.train(config_of("sbert_regression", folder), quiet=True)
    assert result.sts.keys() == {"untrained", "trained"}
    assert not result.heldout
    scored = {
        line["step"]: line["evaluation/sts_spearman"]
        for line in read_metrics(result.run_dir / "metrics.jsonl")
        if "evaluation/sts_spearman" in line
    }
    assert scored.keys() == {0, 2, 4}
    assert scored[4] == pytest.approx(result.sts["trained"].spearman)
    best = max((2, 4), key=lambda step: (scored[step], step))
    texts = ["one two", "red"]
    np.testing.assert_array_equal(
        jaxemb.load(f"{result.run_dir}@best").encode(texts), jaxemb.load(f"{result.run_dir}@{best}").encode(texts)
    )
    again = jaxemb.train(config_of("sbert_regression", folder), resume=True, quiet=True)
    assert again.sts == result.sts


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


def scores_of(run_dir):
    lines = (line for line in read_metrics(run_dir / "metrics.jsonl") if line["step"])
    return {line["step"]: line["evaluation/sts_spearman"] for line in lines if "evaluation/sts_spearman" in line}


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
def test_several_seeds(folder, capsys):
    config = config_files.validate(TrainConfig, config_of("sbert_regression", folder), "test")
    scores = train_seeds(config, [3, 1], quiet=True)
    print_seeds(scores)
    shown = capsys.readouterr().out
    assert scores.keys() == {3, 1}
    sts = [scores[seed]["STS en.dev"] for seed in (3, 1)]
    assert sts[0] != sts[1]
    saved = json.loads((folder / "run" / "seeds.json").read_text())
    assert saved["mean_and_sd"]["STS en.dev"] == pytest.approx([np.mean(sts), np.std(sts, ddof=1)])
    assert f"{np.mean(sts):.2f}" in shown
    one = config_of("sbert_regression", folder, "alone")
    alone = jaxemb.train({**one, "training": {**one["training"], "seed": 1}}, quiet=True)
    assert alone.sts["trained"].spearman == sts[1]
    assert scores[1]["best sts_spearman"] == max(scores_of(alone.run_dir).values())
    with pytest.raises(UsageError, match=r"seed-3: there is a run already; --resume continues it"):
        train_seeds(config, [0, 3], quiet=True)
    assert not (folder / "run" / "seed-0").exists()
    with pytest.raises(UsageError, match=r"--seeds 1 1: each must be another"):
        train_seeds(config, [1, 1], quiet=True)
    assert train_seeds(config, [3, 1], resume=True, quiet=True) == scores


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
            "labse does not learn from labels .*, which data.sources.0 gives",
        ),
        (lambda c: c["objective"].update(classes=2), "objective.classes: 2, but there is a label 2"),
        (lambda c: c["objective"].update(features=["u", "u"]), "name at least one, and each once"),
        (lambda c: c["data"].update(holdout={"pairs_per_language": 9}), "sbert_classification has no translations"),
        (lambda c: c["training"].update(best_metric="all_accuracy"), "all_accuracy is not scored in this run"),
        (lambda c: c["optimizer"].update(warmup_steps=2), r"warmup_share: 0.5 or 2 steps .* set one of the two"),
        (lambda c: c["training"].update(steps=0), "steps: how long to train is missing"),
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
    with pytest.raises(UsageError, match=r"objective.kind: simcse has only dropout to tell .*ablation: no_dropout"):
        jaxemb.train(config, quiet=True)
    config["objective"]["ablation"] = "no_dropout"
    first = jaxemb.train(config, quiet=True)
    config = {**config_of("simcse", folder, "second"), "model": {"init_from": str(first.run_dir)}}
    config["objective"]["ablation"], config["output_dir"] = "no_dropout", str(folder / "third")
    with pytest.raises(UsageError, match=r"objective.ablation: no_dropout wants model.encoder's hidden_dropout_prob"):
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


@pytest.mark.slow
def test_a_student_learns_its_teacher_s_space(folder, capsys):
    """Its embeddings get the teacher's width; the teacher runs once; errors and accuracies are told by language."""
    config = config_of("distillation", folder)
    config["data"]["holdout"] = {"pairs_per_language": 8, "max_share": 0.5}
    config["training"] |= {"steps": 60, "evaluate_every": None, "checkpoint_every": 60}
    config["optimizer"] = {"learning_rate": 1e-2, "schedule": "constant"}
    config["model"]["normalize"] = True
    config["evaluation"]["sts"]["language_pairs"] = ["en-en"]
    config["export"] = {"verify": "jax"}
    result = jaxemb.train(config)
    shown = capsys.readouterr().out
    assert re.search(r"[1-9]\d* sentences embedded by the teacher", shown)
    assert "squared error against the teacher after step 60" in shown
    results = json.loads((result.run_dir / "results.json").read_text())
    before, after = (results["teacher_mse"][name]["de"] for name in ("untrained", "trained"))
    assert after < before / 2
    assert [score.name for score in result.sts["trained"].scores] == ["en-en"]
    texts = sentences(20, 0)
    target = teacher().encode(texts)
    assert result.embedder.encode(texts).shape == target.shape == (20, 24)
    assert np.mean((result.embedder.encode(texts) - target) ** 2) < before / 2

    again = {**config, "output_dir": str(folder / "again"), "training": {**config["training"], "steps": 1}}
    jaxemb.train(again)
    assert "0 sentences embedded by the teacher" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_goes_on_wants_its_own_teacher_and_a_finished_one_none(folder):
    config = config_of("distillation", folder)
    config["training"] = {"steps": 1, "batch_size": 16}
    jaxemb.train(config, quiet=True)
    longer = {**config, "training": {"steps": 2, "batch_size": 16}}
    head = ModelConfig(**{**dict(teacher().config), "dense": DenseConfig(out_features=8)})
    params = teacher().params | {"dense": {"kernel": np.ones((24, 8), np.float32), "bias": np.ones(8, np.float32)}}
    shutil.rmtree(folder / "teacher")
    huggingface.export(Embedder(head, params, teacher().tokenizer), folder / "teacher", verify="jax")
    with pytest.raises(UsageError, match=r"teacher: its embeddings have 8 dimensions, those of the run 24: it is not"):
        jaxemb.train(longer, resume=True, quiet=True)
    shutil.rmtree(folder / "teacher")
    with pytest.raises(UserError, match="teacher: no such directory"):
        jaxemb.train(longer, resume=True, quiet=True)
    assert jaxemb.train(config, resume=True, quiet=True).embedder.encode(["one"]).shape == (1, 24)


def test_each_example_has_the_teacher_s_embedding_of_its_own_anchor(folder):
    config = config_files.validate(TrainConfig, config_of("distillation", folder), "test")
    data = prepare(config.data, 0)
    tokenizer = train_tokenizer(data, config.tokenizer, 16)
    told = Teacher(teacher(), config.data.cache_dir)
    counts = []
    assert told.teach(data, counts.append) == len({record.anchor for record in data.train})
    assert sum(counts) == len(data.train)
    assert told.teach(data, counts.append) == 0
    batch = Batches(told.examples(tokenize(data, tokenizer, 16), data), config.data, 16, seed=0).batch(0)
    anchors = [data.train[row].anchor for row in batch["id"].tolist()]
    assert batch["teacher"].dtype == np.float32
    np.testing.assert_allclose(batch["teacher"], teacher().encode(anchors), atol=1e-6)
    assert np.abs(batch["teacher"] - batch["teacher"][::-1]).max() > 0.1  # another order would show


@pytest.mark.slow
def test_what_does_not_fit_a_teacher(folder):
    config = config_of("distillation", folder)
    config["model"]["dense"] = {"out_features": 16}
    with pytest.raises(
        UsageError, match=r"model.dense.out_features: 16, but the embeddings of objective.teacher have 24"
    ):
        jaxemb.train(config, quiet=True)
    config["objective"]["teacher"] = str(folder / "nobody")
    with pytest.raises(UserError, match="nobody: no such directory"):
        jaxemb.train(config, quiet=True)
    student = jaxemb.train(
        {**config_of("sbert_regression", folder, "student"), "export": {"verify": "jax"}}, quiet=True
    )
    config = config_of("distillation", folder) | {"model": {"init_from": str(student.export_dir)}}
    with pytest.raises(UsageError, match=r"have 16 dimensions, those of objective.teacher 24: set model.new_head"):
        jaxemb.train(config, quiet=True)
    config["model"] |= {"new_head": True, "pooling": "mean", "dense": None}
    config["training"] = {"steps": 1, "batch_size": 16}
    assert jaxemb.train(config, quiet=True).embedder.encode(["one"]).shape == (1, 24)
