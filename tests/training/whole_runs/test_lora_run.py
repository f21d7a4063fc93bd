"""Whole runs with adapters and frozen parameters: loaded, resumed, exported, refused."""

import json
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import jaxemb
from jaxemb.cli import export as cli_export
from jaxemb.config import ModelConfig
from jaxemb.config import files as config_files
from jaxemb.encoding import Embedder
from jaxemb.errors import UsageError, UserError
from jaxemb.huggingface import export, export_adapter
from jaxemb.loading import load_towers
from support.runs import losses_of
from support.tiny_models import ENCODER, TOKENIZER, tiny_embedder

TEXTS = ["one two", "", "drei Haus"]


@pytest.fixture
def lora_values(values, tmp_path):
    """A run that adapts a model of one layer."""
    encoder = ENCODER.model_copy(update={"num_hidden_layers": 1})
    export(tiny_embedder(encoder=encoder), tmp_path / "base", verify=None)
    model = {"init_from": str(tmp_path / "base"), "lora": {"rank": 2}}
    return {**values, "model": model, "export": {"verify": "jax"}}


@pytest.mark.slow
def test_a_run_with_adapters(lora_values, tmp_path):
    lora_values["mesh"] = {"data": 2, "fsdp": 4}
    result = jaxemb.train(lora_values, quiet=True)
    base = jaxemb.load(tmp_path / "base")
    # What is given back, loaded and exported has the adapters merged.
    assert result.embedder.config.lora is None
    assert "lora" not in result.embedder.params
    ours = result.embedder.encode(TEXTS)
    for model in (result.run_dir, result.export_dir):
        loaded = jaxemb.load(model)
        assert loaded.config.lora is None
        np.testing.assert_allclose(loaded.encode(TEXTS), ours, atol=1e-6)
    assert np.abs(ours - base.encode(TEXTS)).max() > 1e-3
    # Before training the adapters do nothing; afterwards the encoder itself is that of the base.
    apart = load_towers(result.run_dir).anchor
    assert apart.config.lora.rank == 2
    jax.tree.map(np.testing.assert_array_equal, apart.params["encoder"], base.params["encoder"])
    assert all(adapter["b"].any() for adapter in apart.params["lora"].values())
    adapter = tmp_path / "adapter"
    assert cli_export.run([str(result.run_dir), str(adapter), "--adapter"]) == 0
    assert len(load_file(adapter / "adapter_model.safetensors")) == 8
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        tmp_path / "base"
    )
    # Killed after the first checkpoint, without the base: the run knows all that it needs.
    shutil.rmtree(tmp_path / "base")
    killed = tmp_path / "killed"
    shutil.copytree(result.run_dir, killed)
    shutil.rmtree(killed / "checkpoints" / "4")
    again = jaxemb.train({**lora_values, "output_dir": str(killed)}, resume=True, quiet=True)
    assert losses_of(killed) == losses_of(result.run_dir)
    jax.tree.map(np.testing.assert_array_equal, again.embedder.params, result.embedder.params)
    other = {**lora_values, "model": {**lora_values["model"], "lora": {"rank": 3}}}
    with pytest.raises(UsageError, match=r"model\.lora\.rank: 2 in the run, 3 now"):
        jaxemb.train(other, resume=True, quiet=True)


def test_ones_own_objective_sees_merged_kernels_and_frozen_parameters(lora_values, tmp_path, capsys):
    base = jaxemb.load(tmp_path / "base")
    seen = set()

    def objective(params, batch, key):
        seen.update(params)
        return base.apply(params, batch["anchor"], key)[:, 0].mean(), {}

    lora_values["data"] = {**lora_values["data"], "holdout": {"pairs_per_language": 0}}
    lora_values["training"] = {**lora_values["training"], "freeze": ["dense/kernel", "lora/.*/value/.*"]}
    result = jaxemb.train({**lora_values, "export": {"enabled": False}}, objective=objective)
    assert seen == {"encoder", "dense"}
    # Rank 2 at 32 x 32 is 128 parameters a kernel, of three kernels; and the dense layer's bias.
    assert "(416 of them trained)" in capsys.readouterr().out
    old, new = base.params, result.embedder.params
    np.testing.assert_array_equal(new["dense"]["kernel"], old["dense"]["kernel"])
    assert (new["dense"]["bias"] != old["dense"]["bias"]).all()
    attention, before = (tree["encoder"]["layers"]["attention"] for tree in (new, old))
    changed = {name for name in attention if (attention[name]["kernel"] != before[name]["kernel"]).any()}
    assert changed == {"query", "key", "output"}


def test_what_is_refused_before_any_work(lora_values, values, tmp_path):
    def refused(message, config, **changes):
        with pytest.raises(UsageError, match=message):
            jaxemb.train({**config, **changes}, quiet=True)

    def training(*freeze):
        return {**values["training"], "freeze": list(freeze)}

    refused(
        "config: model.lora: adapters need a pretrained model \\(model.init_from\\); without one leave it out",
        values,
        model={"lora": {}},
    )
    refused("config: training.freeze: '\\(' is not a valid regular expression", values, training=training("("))
    refused(
        "config: model.lora.targets: '\\(' is not a valid regular expression", values, model={"lora": {"targets": "("}}
    )
    nearest = "'encoder/words/.*' matches no parameter; the nearest are"
    refused(f"training.freeze: {nearest}", values, training=training("encoder/words/.*"))
    refused(f"training.freeze: {nearest}", lora_values, training=training("encoder/words/.*"))
    refused("training.freeze: nothing is left to train", values, training=training(".*"))
    refused("model.lora.targets: 'x' matches no kernel", lora_values,
            model={**lora_values["model"], "lora": {"targets": "x"}})  # fmt: skip
    assert not (tmp_path / "cache").exists()


def test_what_export_adapter_refuses(tmp_path):
    lora = {"lora": {"rank": 2}, "init_from": "a/name"}
    encoder = ENCODER.model_copy(update={"num_hidden_layers": 1})
    config = config_files.validate(ModelConfig, {"encoder": encoder.model_dump(mode="json"), **lora}, "config")
    embedder = tiny_embedder(encoder=encoder, lora=config.lora, init_from=config.init_from)

    def refused(message, embedder=embedder, **settings):
        with pytest.raises(UserError, match=message):
            export_adapter(embedder, tmp_path / "out", **settings)
        assert not (tmp_path / "out").exists()

    refused("the model has no adapters .*: export it without --adapter", embedder.merged())
    export(tiny_embedder(seed=1, encoder=encoder), tmp_path / "other", verify=None)
    refused(r"other: not the model that was adapted: the tensor embeddings\..* differs", base=str(tmp_path / "other"))
    (tmp_path / "run").mkdir()
    refused(
        r"run: not a Hugging Face folder, .*: export it \(`jaxemb export .*run FOLDER`\)", base=str(tmp_path / "run")
    )
    refused("run@best: neither a folder nor a name of the Hub", base=str(tmp_path / "run@best"))
    nameless = Embedder(config.model_copy(update={"init_from": None}), embedder.params, TOKENIZER)
    refused("the adapters need the name of the model", nameless)
    out = export_adapter(embedder, tmp_path / "out")  # a name of the Hub is taken as it is
    commit = "0123456789" * 4
    pinned = export_adapter(embedder, tmp_path / "pinned", base=f"a/name@{commit}")  # as a run records it
    for folder, revision in ((out, None), (pinned, commit)):
        written = json.loads((folder / "adapter_config.json").read_text())
        assert (written["base_model_name_or_path"], written["revision"]) == ("a/name", revision)
    with pytest.raises(UserError, match="exists and is not empty"):
        export_adapter(embedder, out)
