import errno
import json

import pytest

from jaxemb.errors import CannotWrite
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics
from jaxemb.runs.trackers import Trackers, trackers_of
from support.runs import losses_of


class Kept:
    """A tracker of somebody else."""

    def __init__(self):
        self.written, self.closed = [], False

    def write(self, step, values):
        self.written.append((step, dict(values)))

    def close(self):
        self.closed = True


def test_each_tracker_gets_whole_names(tmp_path):
    one, other = Kept(), Kept()
    with Trackers(tmp_path, one, other) as trackers:
        trackers.write(3, "train", {"loss": 0.5})
    assert one.written == other.written == [(3, {"train/loss": 0.5})]
    assert one.closed
    assert other.closed


def test_what_cannot_be_written_names_the_folder(tmp_path):
    class Full(Kept):
        def write(self, step, values):
            raise OSError(errno.ENOSPC, "No space left on device")

    with Trackers(tmp_path, Full()) as trackers, pytest.raises(CannotWrite, match=f"^{tmp_path}: cannot be written"):
        trackers.write(1, "train", {"loss": 1.0})


def test_only_the_primary_process_writes(tmp_path, monkeypatch):
    with trackers_of(RunDirectory(tmp_path), 0) as trackers:
        trackers.write(1, "train", {"loss": 1.0})
    (line,) = read_metrics(tmp_path / "metrics.jsonl")
    assert (line["step"], line["train/loss"]) == (1, 1.0)
    assert list((tmp_path / "tensorboard").iterdir())
    monkeypatch.setattr("jaxemb.distributed.is_first", lambda: False)
    with trackers_of(RunDirectory(tmp_path), 0) as trackers:
        trackers.write(2, "train", {"loss": 2.0})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_line_is_plain_json(tmp_path):
    with trackers_of(RunDirectory(tmp_path), 0) as trackers:
        trackers.write(1, "evaluation", {"all_accuracy": 50.0})
    values = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert values.keys() == {"step", "time", "evaluation/all_accuracy"}


def test_metrics_of_steps_that_are_taken_again_are_dropped(tmp_path):
    with trackers_of(RunDirectory(tmp_path), 0) as writer:
        for step in range(1, 6):
            writer.write(step, "train", {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 6, "train/lo')  # killed while writing
    with trackers_of(RunDirectory(tmp_path), 3) as writer:
        writer.write(4, "train", {"loss": 44.0})
    assert losses_of(tmp_path) == {1: 1.0, 2: 2.0, 3: 3.0, 4: 44.0}
