"""A student learns the space of its teacher."""

import json
import re
import shutil

import numpy as np
import pytest

import jaxemb
from jaxemb import huggingface
from jaxemb.config import DenseConfig, ModelConfig, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import Batches, gather, train_tokenizer
from jaxemb.data.pairs.normalize import text_hash
from jaxemb.encoding import Embedder
from jaxemb.errors import UsageError, UserError
from jaxemb.training.teacher import Teacher
from support.batches import examples_of, stored
from support.recipe_runs import config_of, sentences, teacher


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
    with pytest.raises(
        UsageError, match=r"teacher: its embeddings have 8 dimensions, those of the run 24: this is not the teacher"
    ):
        jaxemb.train(longer, resume=True, quiet=True)
    shutil.rmtree(folder / "teacher")
    with pytest.raises(UserError, match="teacher: no such directory"):
        jaxemb.train(longer, resume=True, quiet=True)
    assert jaxemb.train(config, resume=True, quiet=True).embedder.encode(["one"]).shape == (1, 24)


def test_each_example_has_the_teacher_s_embedding_of_its_own_anchor(folder):
    config = config_files.validate(TrainConfig, config_of("distillation", folder), "test")
    data = gather(config.data, 0)
    tokenizer = train_tokenizer(data, config.tokenizer, 16)
    told = Teacher(teacher(), config.data.cache_dir)
    counts = []
    by_hash = {text_hash(record.anchor): record.anchor for record in data.records()}
    assert told.teach(data, counts.append) == len(by_hash)
    assert sum(counts) == data.examples
    assert told.teach(data, counts.append) == 0
    shards = stored(data, config.data, tokenizer)
    batch = Batches(told.examples(examples_of(shards, 16)), shards.order(config.data, 16, 0), config.data).batch(0)
    anchors = [by_hash[int(words.view(np.uint64)[0])] for words in batch["anchor_hash"]]
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
