from jaxemb.runs.metrics import read_metrics


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "train/loss": 2.5}\n{"step": 2}\n{"step": 3, "train/lo')
    assert list(read_metrics(path)) == [{"step": 1, "train/loss": 2.5}, {"step": 2}]
    path.write_text("")
    assert list(read_metrics(path)) == []
