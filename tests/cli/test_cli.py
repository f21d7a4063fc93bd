"""The commands as a user types them."""

import importlib
import importlib.metadata
import json
import random
import re
import subprocess
import sys

import numpy as np
import pytest

from jaxemb.cli import COMMANDS, main
from jaxemb.errors import UsageError, UserError
from support.commands import jaxemb

CONFIG = """
data:
  sources: [{kind: tsv, path: en-de.tsv}]
  cache_dir: cache
  holdout: {pairs_per_language: 20}
  max_length: 16
  length_buckets: [16]
tokenizer: {vocab_size: 100}
model:
  encoder: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}
training: {steps: 2, batch_size: 16}
export: {verify: jax}
"""


def exit_code(arguments):
    try:
        return main(arguments)
    except SystemExit as stop:  # of argparse
        return stop.code


def test_help_does_not_import_jax():
    code = (
        "import runpy, sys; sys.argv = ['jaxemb', '--help']\ntry: runpy.run_module('jaxemb', run_name='__main__')\n"
        "except SystemExit: print('jax' in sys.modules, 'flax' in sys.modules, 'transformers' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("False False False\n")
    for command in COMMANDS:
        assert command in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_without_jax(command):
    code = (
        f"import sys; from jaxemb.cli import main\ntry: main(['{command}', '--help'])\n"
        "except SystemExit as stop: print(stop.code, 'jax' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("0 False\n")


@pytest.mark.slow
def test_from_pairs_to_embeddings(tmp_path, monkeypatch, capsys):
    """train, evaluate, encode and export, as they are typed; training in a process of its own."""
    english, german = "one two three four five six seven".split(), "eins zwei drei vier fünf sechs sieben".split()
    chosen = [random.Random(n).choices(range(7), k=4) for n in range(200)]
    pairs = [(" ".join(english[i] for i in row), " ".join(german[i] for i in row)) for row in chosen]
    (tmp_path / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs))
    (tmp_path / "config.yaml").write_text(CONFIG)

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        assert main(arguments) == 0
        return capsys.readouterr().out

    flags = ("--output-dir", "run", "--optimizer.learning-rate", "1e-3")
    done = jaxemb("train", "--config", "config.yaml", *flags)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert "trained" in shown
    assert re.search(r"first step done after [\d.]+ s, compilation included", shown)
    assert 'model = load("run/export")' in shown
    assert "learning_rate: 0.001" in (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "en-de.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs[:20]))
    shown = run("evaluate", "run@2", "--suite", "parallel", "--data", "eval", "--json", "scores.json", "--quiet")
    assert "en-de" in shown
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["model"] == "run@2"
    (tmp_path / "texts.txt").write_text("one two\n\nzwei\n")
    assert "3 embeddings written" in run("encode", "run", "texts.txt", "--output", "texts.npy")
    rows = np.load(tmp_path / "texts.npy")
    assert rows.shape == (3, 16)
    assert "embedded alike" in run("export", "run@2", "out", "--verify", "jax")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "learning_rate: 0.001" in card
    assert "| trained |" in card
    run("encode", "out", "texts.txt", "--output", "again.npy", "--quiet")
    np.testing.assert_allclose(np.load(tmp_path / "again.npy"), rows, atol=1e-6)
    # The vocabulary by itself is that of the run, and another run takes it.
    assert "word pieces written to words" in run("tokenizer", "train", "--config", "config.yaml", "--output", "words")
    assert (tmp_path / "words" / "tokenizer.json").read_text() == (
        tmp_path / "run/tokenizer/tokenizer.json"
    ).read_text()
    (tmp_path / "empty").mkdir()
    for folder, error, message, command in (
        (".", UserError, "exists and is not empty", "tokenizer train --config config.yaml --output words"),
        (".", UserError, "eval: no tokenizer", "train --config config.yaml --output-dir run3 --tokenizer.path eval"),
        (".", UsageError, "batch_size is 0", "encode run texts.txt --output x.npy --batch-size 0"),
        ("eval", UserError, "exists and is not empty", "export ../run ."),
        ("empty", UserError, "is the current directory: name a new folder", "export ../run ."),
    ):
        monkeypatch.chdir(tmp_path / folder)
        name, *arguments = command.split()
        with pytest.raises(error, match=message):
            importlib.import_module(f"jaxemb.cli.{name}").run(arguments)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "usage: jaxemb"),
        (["trian"], 2, "invalid choice: 'trian'"),
        (["train"], 2, "--config FILE is missing"),
        (["train", "--config", "x.yaml", "--profile", "-1"], 2, "error: --profile -1: give a number of steps"),
        (
            ["train", "--config", "x.yaml", "--profile", "2", "--seeds", "1"],
            2,
            "--profile 2: give a number of steps, and leave --seeds out",
        ),
        (["train", "--config", "nowhere.yaml"], 2, "error: nowhere.yaml: no such file"),
        (["evaluate", "nowhere", "--suite", "tatoeba", "--data", "."], 1, "error: nowhere: no such directory"),
        (["encode", "nowhere", "in.txt", "--output", "out.npy"], 1, "error: nowhere: no such directory"),
        (["tokenizer", "train"], 2, "the following arguments are required: --config, --output"),
        (["export", "run", "out", "--base", "name"], 2, "error: --base needs --adapter"),
        (["export", "nowhere", "out"], 1, "error: nowhere: no such directory"),
    ],
)
def test_a_mistake_ends_with_one_message(arguments, code, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert exit_code(arguments) == code
    shown = capsys.readouterr()
    assert message in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_compilations_are_kept_for_the_next_process(tmp_path, monkeypatch):
    """XLA's, in the cache folder, without a line of the command that asks for it."""
    compile_once = (
        "from jaxemb.cli import main; main(['export', 'nowhere', 'out'])\n"
        "import jax; events = []; jax.monitoring.register_event_listener(lambda event, **_: events.append(event))\n"
        "jax.jit(lambda x: x @ x + 1).lower(jax.numpy.ones((3, 3))).compile()\n"
        "print(any(event.endswith('cache_hits') for event in events))"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    shown = [
        subprocess.run([sys.executable, "-c", compile_once], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert list((tmp_path / "jaxemb" / "xla").iterdir())
    assert shown == ["False\n", "True\n"]


def test_the_version():
    assert jaxemb("--version").stdout.strip() == importlib.metadata.version("jaxemb")
