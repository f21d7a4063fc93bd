"""`jaxemb tokenizer train`: a vocabulary without a run."""

import json

import pytest

from jaxemb.cli.tokenizer import run
from jaxemb.errors import UserError
from jaxemb.huggingface import load_tokenizer
from support.runs import values_in


def test_its_size_is_a_flag_and_its_folder_must_be_empty(tmp_path, capsys):
    values = values_in(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values))
    command = ["train", "--config", str(tmp_path / "config.json"), "--output", str(tmp_path / "words")]
    assert run([*command, "--tokenizer.vocab-size", "110"]) == 0
    shown = capsys.readouterr().out
    assert "examples in 1 languages" in shown
    assert f"110 word pieces written to {tmp_path / 'words'}; set tokenizer.path to use them" in shown
    tokenizer = load_tokenizer(tmp_path / "words")
    assert len(tokenizer) == 110
    assert tokenizer.unk_token_id not in tokenizer("three blue Haus")["input_ids"]
    with pytest.raises(UserError, match=r"words.* exists and is not empty"):
        run([*command, "--quiet"])
    assert capsys.readouterr().out == ""
