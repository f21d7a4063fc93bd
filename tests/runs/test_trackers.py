"""Metrics of a run, as they are written."""

from jaxemb.runs.trackers import MetricsWriter
from support.runs import losses_of


def test_metrics_of_steps_that_are_taken_again_are_dropped(tmp_path):
    with MetricsWriter(tmp_path / "metrics.jsonl", tmp_path / "tensorboard") as writer:
        for step in range(1, 6):
            writer.write(step, "train", {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 6, "train/lo')  # killed while writing
    with MetricsWriter(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", start=3) as writer:
        writer.write(4, "train", {"loss": 44.0})
    assert losses_of(tmp_path) == {1: 1.0, 2: 2.0, 3: 3.0, 4: 44.0}
