"""What lies in the directory of a run, and what may go on in it."""

import json

import pytest

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError, UserError
from jaxemb.runs import random_bits
from jaxemb.runs.directory import RunDirectory, best_of, steps_to_keep

SENTENCES = {
    "data": {"sources": [{"kind": "text", "path": "a.txt"}], "holdout": {"pairs_per_language": 0}},
    "training": {"steps": 1},
}


def config_of(objective, model):
    values = {**SENTENCES, "objective": objective, "model": model}
    return config_files.validate(TrainConfig, values, "test")


def test_a_run_records_the_version(tmp_path, monkeypatch):
    run, config = RunDirectory(tmp_path), config_of({"kind": "mlm"}, {})
    for objective in (None, "my.objective"):
        run.save_config(config, objective)
        assert run.random_bits() == random_bits.VERSION
        assert run.load_config() == config
        assert bool(run.objective_note()) == (objective is not None)
        monkeypatch.setattr(random_bits, "VERSION", 17)
        run.save_config(config, objective)
        assert run.random_bits() == 17
        monkeypatch.undo()
        older = [line for line in run.config.read_text().splitlines(keepends=True) if "random bits" not in line]
        run.config.write_text("".join(older))
        assert run.exists()
        assert run.random_bits() == 1
        assert bool(run.objective_note()) == (objective is not None)


def checkpoint(run, step, *parts):
    for part in parts or ("_CHECKPOINT_METADATA", "params", "opt_state"):
        (run.checkpoints / str(step) / part).mkdir(parents=True)


def test_half_a_checkpoint_is_none(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.steps == []
    checkpoint(run, 10)
    checkpoint(run, 2)
    checkpoint(run, 20, "params")
    checkpoint(run, "30.being-written")
    assert run.steps == [2, 10]


def test_the_best_step_is_the_latest_of_equals_that_has_a_checkpoint(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_config(config_of({"kind": "mlm"}, {}), None)
    metric = run.load_config().best_metric
    for step in (2, 4, 6):
        checkpoint(run, step)
    with pytest.raises(UserError, match=r"no checkpoint was evaluated, so none is the best"):
        run.best_step()
    scores = {0: 9.0, 2: 5.0, 4: 5.0, 6: 4.0, 8: 9.0}
    run.metrics.write_text(
        "".join(json.dumps({"step": step, f"evaluation/{metric}": score}) + "\n" for step, score in scores.items())
    )
    assert run.scores(metric) == scores
    assert run.best_step() == 4
    assert best_of([], scores) is None
    assert steps_to_keep([2, 4, 6, 8], 1, {2: 9.0, 4: 9.0}) == {4, 8}
    assert steps_to_keep([2, 4], 3, {}) == {2, 4}


def test_who_may_train_in_it(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with run.locked(resume=False):
        (run.path / ".tokenizer.0123abcd.partial").mkdir()
        with pytest.raises(UsageError, match="another process is training in it"), RunDirectory(run.path).locked(True):
            pass
        run.save_config(config_of({"kind": "mlm"}, {}), None)
    with pytest.raises(UsageError, match="holds a run already: continue it with --resume"), run.locked(resume=False):
        pass
    with run.locked(resume=True):
        assert sorted(path.name for path in run.path.iterdir()) == [".lock", "config.yaml"], "half written is removed"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"), RunDirectory(tmp_path / "file").locked(False):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="holds no run"), RunDirectory(tmp_path / "other").locked(False):
        pass
    with pytest.raises(UsageError, match=r"no run here \(no config\.yaml\); did you mean run\?"):
        RunDirectory(tmp_path / "rum").load_config()


def test_what_may_change_on_resume(tmp_path):
    run, config = RunDirectory(tmp_path), config_of({"kind": "mlm"}, {})
    run.save_config(config, None)
    checkpoint(run, 1)

    def changed(**sections):
        return config.model_copy(
            update={name: getattr(config, name).model_copy(update=keys) for name, keys in sections.items()}
        )

    run.check_same_run(config, None)
    run.check_same_run(changed(training={"log_every": 3, "steps": 9}, mesh={"fsdp": 2}, data={"root": "there"}), None)
    with pytest.raises(UsageError, match=r"optimizer\.learning_rate: 5e-05 in the run, 0\.1 now"):
        run.check_same_run(changed(optimizer={"learning_rate": 0.1}), None)
    with pytest.raises(UsageError, match=r"training\.steps: 1 are done, 0 now"):
        run.check_same_run(changed(training={"steps": 0}), None)
    with pytest.raises(UsageError, match=r"objective: the config's own in the run, mine now"):
        run.check_same_run(config, "mine")


def test_other_examples_are_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.data_report.write_text(json.dumps({"train_hash": "a", "totals": {"train": 1234}}))
    run.check_same_data({"train_hash": "a", "totals": {"train": 1234}})
    with pytest.raises(UsageError, match=r"1,234 in the run, 1,300 now"):
        run.check_same_data({"train_hash": "b", "totals": {"train": 1300}})


def test_another_order_is_refused_where_steps_are_left(tmp_path):
    run, config = RunDirectory(tmp_path), config_of({"kind": "mlm"}, {})
    run.save_config(config, None)
    checkpoint(run, 1)
    more = config.model_copy(update={"training": config.training.model_copy(update={"steps": 9})})
    run.check_same_order(more)
    older = [line for line in run.config.read_text().splitlines(keepends=True) if "# order" not in line]
    run.config.write_text("".join(older))
    run.check_same_order(config)  # nothing is left but the export
    with pytest.raises(UsageError, match=r"an order \(version 1\) that this release does not have .*: finish the run"):
        run.check_same_order(more)


def test_what_an_early_end_left_is_removed(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_config(config_of({"kind": "mlm"}, {}), None)
    checkpoint(run, 1)
    run.metrics.write_text("{}")
    run.export.mkdir()
    run.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_more_is_added_to_the_data_report(tmp_path):
    run = RunDirectory(tmp_path)
    run.data_report.write_text(json.dumps({"train_hash": "a", "padding": 1}))
    run.add_to_data_report({"padding": 2, "pairs": {"de": "ä"}})
    assert json.loads(run.data_report.read_text()) == {"train_hash": "a", "padding": 2, "pairs": {"de": "ä"}}
