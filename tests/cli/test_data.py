"""`jaxemb data prepare`: what it says and refuses, and what happens if it is killed, interrupted or run twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxemb.cli import data
from jaxemb.data.shards.manifest import Manifest
from jaxemb.errors import UsageError, UserError
from support.commands import jaxemb
from support.runs import values_in
from support.tiers import sampled


@pytest.fixture
def config(tmp_path):
    values = values_in(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    return path


def test_what_it_writes_and_says(config, tmp_path):
    done = jaxemb("data", "prepare", "--config", str(config), "--output", str(tmp_path / "out"), "--workers", "1")
    assert done.returncode == 0, done.stderr
    manifest = Manifest.load(str(tmp_path / "out"))
    assert f"{manifest.examples:,} examples in 1 shard; set data.prepared to {tmp_path / 'out'}" in done.stdout
    assert "20 held out" in done.stdout
    assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "out" / "tokenizer").iterdir()} >= {"tokenizer.json"}


def test_mistakes_are_named(config, tmp_path, capsys):
    def prepare(*more, output="out"):
        arguments = ["--config", str(config), "--quiet", "--workers", "1", "--output", str(tmp_path / output)]
        return data.run(["prepare", *arguments, *more])

    with pytest.raises(SystemExit):
        data.run(["prepar", "--config", str(config), "--output", str(tmp_path / "out")])
    assert "invalid choice: 'prepar'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        data.run(["prepare", "--config", str(config)])
    assert "--output" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        prepare("--data.holdout.pairs-per-langage", "3")
    said = capsys.readouterr().err
    assert "Unrecognized options: --data.holdout.pairs-per-langage" in said
    assert "--data.holdout.pairs-per-language" in said
    with pytest.raises(UsageError, match="--workers: 0 is not a positive number"):
        prepare("--workers", "0")
    with pytest.raises(UserError, match=r"nowhere\.tsv: no such file \(path of a source"):
        prepare("--data.sources.0.path", "nowhere.tsv")
    assert not (tmp_path / "out").exists()

    assert prepare() == 0
    with pytest.raises(UsageError, match="out: has prepared data; choose another --output, or remove what is there"):
        prepare()
    with pytest.raises(UsageError, match=r"data\.prepared: a preparation reads the sources; set it to null"):
        prepare("--data.prepared", str(tmp_path / "out"), output="again")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("Dear")
    with pytest.raises(UsageError, match=r"other: .*choose another --output"):
        prepare(output="other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["letter.txt"]


SCRIPT = Path(__file__).parents[1] / "support" / "killed_preparations.py"


def children(folder: Path, *arguments: str):
    """What `killed_preparations` says."""
    path = os.pathsep.join(
        [str(Path(__file__).parents[1]), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    )
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert sum(name.endswith(".index") for name in said["files"]) > 4, said["files"]
    return said


@pytest.mark.parametrize("moments", sampled([2], [20]))
def test_killed_then_the_same_command(config, tmp_path, moments, pytestconfig):
    """At random moments: the second call goes on, and the files are those of a call that nobody killed."""
    said = children(tmp_path, "kill", str(moments), str(pytestconfig.option.sample_seed))
    assert all(said["equal"]), said
    assert set(said["codes"]) <= {0, -27}
    assert -27 in said["codes"]


@pytest.mark.parametrize("moments", sampled([2], [20]))
def test_interrupted_then_the_same_command(config, tmp_path, moments, pytestconfig):
    said = children(tmp_path, "interrupt", str(moments), str(pytestconfig.option.sample_seed))
    assert all(said["equal"]), said
    assert set(said["codes"]) <= {0, 130}
    errors = [path.read_text() for path in tmp_path.glob("interrupt-*/stderr.txt")]
    lost = [
        error for error in errors if "Exception ignored" in error
    ]  # in a callback of JAX's for the garbage collector
    assert said["codes"].count(130) + len(lost) >= 1
    assert {error for error in errors if error not in lost} <= {"", "interrupted\n"}


def test_two_at_once(config, tmp_path):
    said = children(tmp_path, "together")
    assert said["equal"] == [True]
    assert sorted(said["codes"]) in ([0, 0], [0, 2])
    errors = (tmp_path / "together-0" / "stderr.txt").read_text()
    assert ("has prepared data" in errors) == (2 in said["codes"])  # it began after the other one's end
    assert "Traceback" not in errors
