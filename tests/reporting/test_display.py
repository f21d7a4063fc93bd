"""What a run shows in a log file, and that it can be silent."""

import pytest

from jaxemb.reporting import display
from jaxemb.reporting.display import Display


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", -1.0)


def tell(shown):
    shown.headline("reading [red]texts[/]")
    with shown.counting("read", 2000) as count:
        count(500)
        count(1500)
    with shown.progress(start=4, steps=10) as progress:
        progress.advance(5)
        progress.show(5, {"loss": 1.23456, "examples_per_second": 1000.4})
        progress.show(10, {"loss": 0.5})


def test_lines_of_a_log(often, capsys):
    tell(Display())
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].endswith("s  reading [red]texts[/]"), "no markup in what others wrote"
    assert lines[1:3] == ["read 500/2,000", "read 2,000/2,000"]
    assert lines[3].startswith("step 5/10  loss 1.2346  1,000 examples/s  ETA ")
    assert lines[4].startswith("step 10/10  loss 0.5000  ETA 0 s")


def test_few_lines_but_the_last_step(capsys):
    tell(Display())
    shown = capsys.readouterr().out
    assert "step 5/10" not in shown
    assert "read 500" not in shown
    assert "step 10/10" in shown


def test_silence(often, capsys):
    tell(Display(quiet=True))
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""
