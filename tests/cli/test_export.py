"""`jaxemb export`."""

import gzip

import pytest

from jaxemb.cli import main
from jaxemb.errors import UserError
from jaxemb.huggingface import load_model, vocabulary_report
from jaxemb.huggingface.card import model_card


def test_a_served_model_by_the_command(exported, tmp_path, capsys):
    """A model that ends in a dense layer is one for text-embeddings-inference and none for vLLM."""
    assert main(["export", str(exported), str(tmp_path / "out"), "--verify", "jax", "--target", "tei"]) == 0
    assert "embedded alike" in capsys.readouterr().out
    assert main(["export", str(exported), str(tmp_path / "other"), "--verify", "jax", "--target", "vllm"]) == 1
    assert "error: vLLM would misread this model:\n  it ignores dense layers" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    card = (tmp_path / "out/README.md").read_text()
    (line,) = [line for line in card.splitlines() if "Do not serve" in line]
    assert line.startswith("Do not serve this folder with vLLM (it ignores dense layers")
    code = main(["export", str(exported), str(tmp_path / "other"), "--adapter", "--target", "tei"])
    assert (code, "--target cannot be combined with --adapter" in capsys.readouterr().err) == (2, True)


def tokens(embedder, texts):
    return [embedder.tokenizer.convert_ids_to_tokens(ids) for ids in embedder.tokenizer(list(texts))["input_ids"]]


def test_export_with_a_vocabulary(exported, tmp_path, capsys, monkeypatch):
    from jaxemb.cli import export as command

    written = {}
    monkeypatch.setattr(
        "jaxemb.huggingface.export", lambda model, out, *, card, **_: written.update(m=model.anchor, c=card)
    )
    with gzip.open(tmp_path / "texts.gz", "wt", encoding="utf-8") as file:
        file.write("A man plays.\nThe end.\n")
    (tmp_path / "more.txt").write_text("Another line.\n")
    files = [str(tmp_path / "texts.gz"), str(tmp_path / "more.txt")]
    assert command.run([str(exported), str(tmp_path / "out"), "--vocabulary", *files]) == 0
    whole, trimmed = load_model(exported), written["m"]
    assert tokens(trimmed, ["A man", "Another"]) == tokens(whole, ["A man", "Another"])
    assert written["c"].vocabulary == vocabulary_report(whole, trimmed)
    assert f"vocabulary: {written['c'].vocabulary}\n" in capsys.readouterr().out
    assert f"texts: {written['c'].vocabulary}." in model_card(trimmed.config, tmp_path, written["c"], 40, True)
    with pytest.raises(UserError, match="nowhere: no such file"):
        command.run([str(exported), str(tmp_path / "other"), "--vocabulary", str(tmp_path / "nowhere")])
