"""The commands as a user types them, each in a process of its own."""

import subprocess
import sys

import pytest


def jaxemb(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "jaxemb", *arguments], capture_output=True, text=True, timeout=300, check=False, **kwargs
    )


def test_help_does_not_import_jax():
    code = (
        "import runpy, sys; sys.argv = ['jaxemb', '--help']\ntry: runpy.run_module('jaxemb', run_name='__main__')\n"
        "except SystemExit: print('jax' in sys.modules, 'flax' in sys.modules, 'transformers' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("False False False\n")
    for command in ("train", "evaluate", "encode", "export"):
        assert command in shown


@pytest.mark.parametrize("command", ["train", "evaluate", "encode", "export"])
def test_each_command_has_help_without_jax(command):
    code = (
        f"import sys; from jaxemb.cli import main\ntry: main(['{command}', '--help'])\n"
        "except SystemExit as stop: print(stop.code, 'jax' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("0 False\n")


def test_train_help_shows_every_field():
    shown = jaxemb("train", "--help").stdout
    for flag in ("--optimizer.learning-rate", "--data.max-length", "--objective.margin", "--mesh.fsdp", "--resume"):
        assert flag in shown
    assert "Inverse temperature s" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "usage: jaxemb"),
        (["trian"], 2, "invalid choice: 'trian'"),
        (["train"], 2, "--config FILE is missing"),
        (["train", "--config", "nowhere.yaml"], 2, "error: nowhere.yaml: no such file"),
        (["evaluate", "nowhere", "--suite", "tatoeba", "--data", "."], 1, "error: nowhere: no such directory"),
        (["encode", "nowhere", "in.txt", "--output", "out.npy"], 1, "error: nowhere: no such directory"),
        (["export", "nowhere", "out"], 1, "error: nowhere: no such directory"),
    ],
)
def test_a_mistake_ends_with_one_message(arguments, code, message):
    done = jaxemb(*arguments)
    assert done.returncode == code
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_version():
    import importlib.metadata

    assert jaxemb("--version").stdout.strip() == importlib.metadata.version("jaxemb")
