"""`jaxemb encode` on a folder, with and without a prompt."""

import numpy as np
import pytest

from jaxemb.cli.encode import run
from jaxemb.errors import UsageError, UserError
from support.tiny_models import tiny_embedder


def test_a_column_with_a_prompt(exported, tmp_path, capsys):
    source, out = tmp_path / "texts.tsv", tmp_path / "out.npy"
    source.write_text("1\tone\n2\ttwo\n")
    command = [str(exported), str(source), "--output", str(out), "--column", "1"]
    assert run([*command, "--prompt", "query: "]) == 0
    assert f"2 embeddings written to {out}" in capsys.readouterr().out
    np.testing.assert_allclose(np.load(out), tiny_embedder().encode(["query: one", "query: two"]), atol=1e-6)
    assert run([*command, "--quiet"]) == 0
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""
    np.testing.assert_allclose(np.load(out), tiny_embedder().encode(["one", "two"]), atol=1e-6)
    with pytest.raises(UserError, match=r"texts\.tsv, line 1: no column 7"):
        run([*command[:-1], "7"])
    with pytest.raises(UsageError, match="batch_size is 0"):
        run([*command, "--batch-size", "0"])
    source.write_text("n\ttext\n1\tone\n2\ttwo\n")
    for column in (["--column", "text"], ["--column", "1", "--header"]):
        assert run([*command[:-2], *column]) == 0
        np.testing.assert_allclose(np.load(out), tiny_embedder().encode(["one", "two"]), atol=1e-6)
