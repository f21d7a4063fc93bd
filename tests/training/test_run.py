"""Whole runs on a few generated pairs: resume, refusals, signals."""

import fcntl
import json
import shutil
import signal
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxemb
from jaxemb import losses
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError, UserError
from jaxemb.reporting.page import page_of
from jaxemb.runs.directory import RunDirectory
from support.runs import TINY, losses_of, start, wait_for
from support.tiers import sampled


@pytest.mark.slow
def test_resume_continues_bit_for_bit(whole, tmp_path, capsys):
    """An older release, which drew other random numbers, began the run: it is resumed, and says so once."""
    values, whole = whole
    killed = tmp_path / "killed"
    shutil.copytree(whole.run_dir, killed)
    shutil.rmtree(killed / "checkpoints" / "4")  # as if killed after step 2
    shutil.rmtree(killed / "export")
    (killed / "metrics.jsonl").unlink()
    lines = (killed / "config.yaml").read_text().splitlines(keepends=True)
    (killed / "config.yaml").write_text("".join(line for line in lines if "random bits" not in line))
    resumed = jaxemb.train({**values, "output_dir": str(killed)}, resume=True)
    assert (
        capsys.readouterr().out.count(
            "an older jaxemb, which drew other random numbers for attention dropout, began this run"
        )
        == 1
    )
    assert [line for line in lines if "random bits" in line] == ["# random bits: version 2\n"]
    assert "# random bits: version 2\n" in (killed / "config.yaml").read_text()
    expected = losses_of(whole.run_dir)
    assert losses_of(killed) == {step: expected[step] for step in (3, 4)}
    for path, leaf in jax.tree_util.tree_leaves_with_path(resumed.embedder.params):
        wanted = whole.embedder.params
        for key in path:
            wanted = wanted[key.key]
        np.testing.assert_array_equal(leaf, wanted, err_msg=jax.tree_util.keystr(path))


def test_a_run_is_whole(whole):
    _, result = whole
    names = {path.name for path in result.run_dir.iterdir()}
    assert names == {
        "config.yaml", "metrics.jsonl", "tensorboard", "tokenizer", "checkpoints", "export", "data_report.json",
        "results.json", ".lock",
    }  # fmt: skip
    config = config_files.load_config(result.run_dir / "config.yaml")
    assert config.model.encoder.vocab_size == len(result.embedder.tokenizer)
    report = json.loads((result.run_dir / "data_report.json").read_text())
    cut = report["cut"]
    assert cut.keys() == {"de", "en"}
    assert cut["de"]["texts"] == report["totals"]["train"]
    assert cut["de"]["cut_texts"] == 0
    texts = ["one two", "", "drei"]
    for model in (result.run_dir, f"{result.run_dir}@4", result.export_dir):
        np.testing.assert_allclose(jaxemb.load(model).encode(texts), result.embedder.encode(texts), atol=1e-6)
    first = jaxemb.load(f"{result.run_dir}@2").encode(texts)
    assert np.abs(first - result.embedder.encode(texts)).max() > 1e-4
    with pytest.raises(UserError, match="no checkpoint of step 3; there are 2, 4"):
        jaxemb.load(f"{result.run_dir}@3")


def test_the_report_of_a_run_shows_its_data(whole):
    _, result = whole
    report = json.loads((result.run_dir / "data_report.json").read_text())
    lengths = [np.array(counts) for counts in report["lengths"]["languages"].values()]
    assert sum(counts.sum() for counts in lengths) == 2 * report["totals"]["train"]
    (chosen,) = [one for one in report["padding"] if one["chosen"]]
    config = config_files.validate_file(result.run_dir / "config.yaml")
    assert chosen["length_buckets"] == (config.data.length_buckets and list(config.data.length_buckets))
    assert {language: len(some) for language, some in report["pairs"]["languages"].items()} == {"de": 20}
    pytest.importorskip("matplotlib")
    page = page_of(RunDirectory(result.run_dir))
    for heading in ("Sizes", "What was dropped", "Lengths", "Padding", "Random pairs"):
        assert f"<h3>{heading}</h3>" in page
    assert f"<td>{chosen['padding']:.1%}</td>" in page


def test_what_is_refused(whole, tmp_path):
    values, _ = whole
    with pytest.raises(UsageError, match="5 is not divisible by 8 devices; the nearest that is: 8"):
        jaxemb.train({**values, "training": {"steps": 1, "batch_size": 5}}, quiet=True)
    with pytest.raises(UsageError, match="output_dir: no run directory is given"):
        jaxemb.train({**values, "output_dir": None}, quiet=True)
    with pytest.raises(UserError, match=r"mesh.fsdp is 3"):
        jaxemb.train({**values, "mesh": {"fsdp": 3}}, quiet=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        jaxemb.train({**values, "output_dir": str(tmp_path / "other")}, quiet=True)
    with pytest.raises(UsageError, match="holds a run already: continue it with --resume"):
        jaxemb.train(values, quiet=True)
    changed = {**values, "model": {"encoder": {**TINY, "hidden_size": 32}}}
    with pytest.raises(UsageError, match=r"hidden_size: 16 in the run, 32 now"):
        jaxemb.train(changed, resume=True, quiet=True)


@pytest.mark.full  # the README has one that always runs
def test_an_objective_of_ones_own(values, tmp_path):
    values["export"] = {"verify": "jax"}
    built_in = jaxemb.train({**values, "objective": {"kind": "info_nce", "mask_duplicates": False}}, quiet=True)
    model = config_files.load_config(built_in.run_dir / "config.yaml").model
    seen = set()

    def objective(params, batch, key):
        seen.update(batch)
        ids = batch["id"]
        sides = [
            jaxemb.models.apply(model, params, {**batch[side], "ids": 2 * ids + i}, key)
            for i, side in enumerate(("anchor", "positive"))
        ]
        return losses.additive_margin_softmax(*sides, scale=20.0, margin=0.0).mean(), {
            "twice": 2 * batch["weight"].sum()
        }

    own = jaxemb.train({**values, "output_dir": str(tmp_path / "own")}, objective=objective, quiet=True)
    assert seen == {"anchor", "positive", "anchor_hash", "positive_hash", "id", "weight"}
    expected, found = losses_of(built_in.run_dir), losses_of(own.run_dir)
    assert found.keys() == expected.keys()
    for step, loss in found.items():
        assert loss == pytest.approx(expected[step], abs=2e-5), step
    lines = [json.loads(line) for line in (own.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/twice"] for line in lines if "train/loss" in line] == [32.0] * 4
    assert "passed to jaxemb.train" not in (built_in.export_dir / "README.md").read_text()
    assert "trained with an objective passed to jaxemb.train" in (own.export_dir / "README.md").read_text()
    with pytest.raises(UsageError, match=r"objective: .*<locals>.objective in the run, the config's own now"):
        jaxemb.train({**values, "objective": {"kind": "info_nce", "mask_duplicates": False},
                      "output_dir": str(own.run_dir)}, resume=True, quiet=True)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), sampled([(signal.SIGINT, 130)], [(signal.SIGTERM, 75)]))
def test_a_signal_leaves_a_checkpoint(values, tmp_path, number, code, capsys):
    values["training"].update(steps=100_000, checkpoint_every=100_000)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    run = tmp_path / "run"
    process = start(config)
    wait_for(lambda: (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_text().splitlines()) > 5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "Continue with the same command and --resume" in errors
    assert "Traceback" not in errors
    (step,) = [int(path.name) for path in (run / "checkpoints").iterdir()]
    values["training"]["steps"] = step + 2
    jaxemb.train(values, resume=True)
    assert f"resuming after step {step}" in capsys.readouterr().out
    assert max(losses_of(run)) == step + 2


def test_a_finished_run_has_nothing_left_to_do(whole, tmp_path, capsys):
    values, whole = whole
    run = tmp_path / "run"
    shutil.copytree(whole.run_dir, run)
    values["output_dir"] = str(run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    again = jaxemb.train(values, resume=True)
    assert "nothing to do: all 4 steps are taken" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before
    np.testing.assert_array_equal(again.embedder.encode(["one"]), jaxemb.load(run).encode(["one"]))
    assert again.heldout == whole.heldout
    fewer = {**values, "training": {**values["training"], "steps": 3}}
    with pytest.raises(UsageError, match=r"training.steps: 4 are done, 3 now"):
        jaxemb.train(fewer, resume=True, quiet=True)
    # Killed after the scores and before the export: the old export is not taken for the new one.
    results = json.loads((run / "results.json").read_text())
    assert (results["step"], results["exported"]) == (4, 4)
    (run / "results.json").write_text(json.dumps(results | {"exported": None}))
    jaxemb.train(values, resume=True)
    assert "exporting, reloading" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("left", sampled([2], [1, 3], draw=0))
def test_a_run_goes_on_where_a_kill_left_it(whole, tmp_path, left):
    """Whatever had been written by then: --resume continues from a checkpoint and starts where there is none."""
    values, whole = whole
    killed = tmp_path / "killed"
    shutil.copytree(whole.run_dir, killed)
    for path in killed.iterdir():
        if path.name not in ("config.yaml", "tokenizer", "data_report.json")[:left]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (killed / ".tokenizer.0123abcd.partial").mkdir()
    again = jaxemb.train({**values, "output_dir": str(killed)}, resume=True, quiet=True)
    assert losses_of(killed) == losses_of(whole.run_dir)
    assert [path.name for path in killed.glob(".*")] == [".lock"]
    assert again.heldout == whole.heldout


@pytest.mark.slow
def test_without_a_checkpoint_the_config_may_change(whole, tmp_path):
    """With one it may not (`test_what_is_refused`)."""
    values, whole = whole
    killed = tmp_path / "killed"
    shutil.copytree(whole.run_dir, killed)
    shutil.rmtree(killed / "checkpoints")
    changed = {**values, "output_dir": str(killed), "model": {"encoder": {**TINY, "hidden_size": 32}}}
    assert jaxemb.train(changed, resume=True, quiet=True).embedder.encode(["one"]).shape == (1, 32)


@pytest.mark.full
@pytest.mark.slow
def test_resume_on_another_mesh_of_fewer_devices(values, tmp_path):
    values["model"] = {"encoder": {**TINY, "intermediate_size": 1024}}  # so that fsdp splits it
    whole = jaxemb.train(values, quiet=True)
    killed = tmp_path / "killed"
    shutil.copytree(whole.run_dir, killed)
    shutil.rmtree(killed / "checkpoints" / "4")
    fewer = {**values, "output_dir": str(killed), "mesh": {"data": 2, "fsdp": 2}}
    resumed = jaxemb.train(fewer, resume=True, quiet=True, devices=jax.devices()[:4])
    expected, found = losses_of(whole.run_dir), losses_of(killed)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-5)
    assert config_files.load_config(killed / "config.yaml").mesh.fsdp == 2
    texts = ["one two", "Haus"]
    np.testing.assert_allclose(resumed.embedder.encode(texts), whole.embedder.encode(texts), atol=1e-4)


def test_resume_refuses_other_pairs(whole, tmp_path):
    values, whole = whole
    shutil.copytree(whole.run_dir, tmp_path / "run")
    pairs = tmp_path / "en-de.tsv"
    lines = Path(values["data"]["root"], "en-de.tsv").read_text().splitlines()
    values["data"]["root"], values["output_dir"] = str(tmp_path), str(tmp_path / "run")
    pairs.write_text("\n".join([*lines[1:], "one more\teins mehr"]) + "\n")
    with pytest.raises(UsageError, match=r"was trained on other examples: .* restore the files it was trained on"):
        jaxemb.train({**values, "training": {**values["training"], "steps": 6}}, resume=True, quiet=True)


def test_more_steps_replace_scores_and_export(whole, tmp_path):
    values, first = whole
    shutil.copytree(first.run_dir, tmp_path / "run")
    longer = {**values, "output_dir": str(tmp_path / "run"), "training": {**values["training"], "steps": 6}}
    second = jaxemb.train(longer, resume=True, quiet=True)
    assert second.heldout.keys() == {"untrained", "trained"}
    assert second.heldout["untrained"] == first.heldout["untrained"]
    results = json.loads((second.run_dir / "results.json").read_text())
    assert results["step"] == 6
    assert "6 steps of 16 examples" in (second.export_dir / "README.md").read_text()
    np.testing.assert_allclose(
        jaxemb.load(second.export_dir).encode(["one"]), second.embedder.encode(["one"]), atol=1e-6
    )
    scored = [line for line in map(json.loads, (second.run_dir / "metrics.jsonl").read_text().splitlines())
              if "evaluation/all_accuracy" in line]  # fmt: skip
    assert [line["step"] for line in scored] == [0, 4, 6]
    assert scored[-1]["evaluation/all_accuracy"] == pytest.approx(second.heldout["trained"].averages[0].mean)


@pytest.mark.slow
def test_starting_from_a_model(whole, tmp_path):
    values, first = whole
    model = tmp_path / "model"
    shutil.copytree(first.export_dir, model)
    second = {**values, "output_dir": str(tmp_path / "second"), "model": {"init_from": str(model)}}
    result = jaxemb.train(second, quiet=True)
    assert result.heldout.keys() == {"before training", "trained"}
    assert result.heldout["before training"].averages == first.heldout["trained"].averages
    shutil.rmtree(model)  # a run knows what it started from
    shutil.rmtree(tmp_path / "second" / "checkpoints" / "4")
    again = jaxemb.train(second, resume=True, quiet=True)
    np.testing.assert_array_equal(again.embedder.encode(["one"]), result.embedder.encode(["one"]))
    head = {"init_from": str(first.export_dir), "new_head": True, "pooling": "mean", "dense": None}
    head |= {"vocab_multiple": 64}
    with_head = jaxemb.train({**values, "output_dir": str(tmp_path / "head"), "model": head}, quiet=True)
    assert "dense" not in with_head.embedder.params
    table, rows = (
        with_head.embedder.params["encoder"]["word_embeddings"]["embedding"],
        with_head.embedder.config.encoder.vocab_size,
    )
    assert len(table) % 64 == 0 < len(table) - rows
    assert not table[rows:].any()  # the padding rows are inert, also under Adam and weight decay
    assert table[:rows].any(axis=1).all()
    for settings, message in (
        ({"pooling": "mean"}, "model.pooling: 'mean' here, but 'cls' in model.init_from .* or set model.new_head"),
        ({"encoder": {"hidden_size": 48}}, r"model.encoder.hidden_size: 48 here, but 16 in model.init_from"),
        ({"encoder": {"model_type": "distilbert"}}, r"model.encoder.model_type: 'distilbert' here, but 'bert' in"),
        ({"max_seq_length": 513}, "model.max_seq_length: 513 tokens are more than the model's 512"),
    ):
        other = {
            **values,
            "output_dir": str(tmp_path / "other"),
            "model": {**settings, "init_from": str(first.export_dir)},
        }
        with pytest.raises(UsageError, match=message):
            jaxemb.train(other, quiet=True)


def test_what_is_found_before_any_work(values, tmp_path, monkeypatch):
    def refused(match, **changes):
        with pytest.raises(UserError, match=match):
            jaxemb.train({**values, **changes}, quiet=True)

    (tmp_path / "file").write_text("")
    refused("file/run: cannot be written", output_dir=str(tmp_path / "file" / "run"))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.yaml").write_text("name: somebody else's")
    refused("foreign is not empty and holds no run", output_dir=str(tmp_path / "foreign"))
    (tmp_path / "busy").mkdir()
    with (tmp_path / "busy" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused("busy: another process is training in it", output_dir=str(tmp_path / "busy"))
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # as if it were not installed
    refused(
        r"output_dir: gs://bucket/run: .*gcsfs.* \(pip install 'jaxemb\[remote\]' brings", output_dir="gs://bucket/run"
    )
    refused("fsspec does not know the protocol cloud://", output_dir="cloud://bucket/run")
    refused("not set: `export NOWHERE=", data={**values["data"], "root": "${NOWHERE}"})
    refused(r"evaluation.baselines: nothing is held out", evaluation={"baselines": True},
            data={**values["data"], "holdout": {"pairs_per_language": 0}})  # fmt: skip
    refused("model.encoder.vocab_size: 50 rows are fewer than tokenizer.vocab_size \\(120\\)",
            model={"encoder": {**TINY, "vocab_size": 50}})  # fmt: skip
    refused(r"data.filters.min_chars: 5 is more than max_chars \(4\)",
            data={**values["data"], "filters": {"min_chars": 5, "max_chars": 4}})  # fmt: skip
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused("verification through torch needs sentence-transformers", export={"verify": "torch"})
    refused("evaluation.baselines needs scikit-learn", evaluation={"baselines": True})
    assert not (tmp_path / "cache").exists()
    monkeypatch.undo()
    refused("training.batch_size: 512 is more than the", training={"steps": 1, "batch_size": 512})
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.slow
def test_sigterm_before_the_loop_is_resumable(values, tmp_path):
    values["training"].update(steps=2)
    values["tokenizer"] = {"vocab_size": 120}
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    process = start(config)
    for line in process.stdout:
        if "gathering" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert "Traceback" not in errors
    assert max(losses_of(jaxemb.train(values, resume=True, quiet=True).run_dir)) == 2
