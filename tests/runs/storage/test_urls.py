"""Runs behind a URL are read from a copy."""

import pytest

import jaxemb
from jaxemb.cli import main
from jaxemb.errors import UsageError


def test_what_reads_a_run_takes_no_url(capsys):
    with pytest.raises(UsageError, match="gs://bucket/run@best: is not on this machine"):
        jaxemb.load("gs://bucket/run@best")
    assert main(["report", "s3://bucket/run"]) == 2
    assert "error: s3://bucket/run: is not on this machine" in capsys.readouterr().err
