import json

import pytest

from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_tokenizer, save_tokenizer
from jaxemb.huggingface.files.tokenizer import check_vocabulary
from jaxemb.huggingface.verify import SENTENCES
from support.tiny_models import ENCODER, ENCODERS, TOKENIZER, tiny_embedder


def test_there_and_back(tmp_path):
    save_tokenizer(TOKENIZER, tmp_path / "new")
    again = load_tokenizer(tmp_path / "new")
    texts = list(SENTENCES)
    assert again(texts)["input_ids"] == TOKENIZER(texts)["input_ids"]
    assert again("a", "b")["input_ids"] == TOKENIZER("a", "b")["input_ids"]
    assert again.model_max_length == 40
    assert again.special_tokens_map == TOKENIZER.special_tokens_map
    assert len(again) == len(TOKENIZER)


def test_earlier_truncation_and_padding_are_not_written(tmp_path):
    TOKENIZER(["a b c d e f", "a"], truncation=True, max_length=4, padding="max_length")
    save_tokenizer(TOKENIZER, tmp_path, 20)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert saved["truncation"] is saved["padding"] is None
    assert load_tokenizer(tmp_path).model_max_length == 20


def test_config_is_readable_by_transformers_4(tmp_path):
    save_tokenizer(TOKENIZER, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"  # version 5 writes a name that version 4 has not
    assert not any(isinstance(value, (list, dict)) for value in config.values())
    assert config["pad_token"] == "[PAD]"
    assert json.loads((tmp_path / "special_tokens_map.json").read_text())["cls_token"] == "[CLS]"


@pytest.mark.parametrize("family", ENCODERS)
def test_token_types_are_not_named_for_models_without_them(tmp_path, family):
    """transformers 4 names them by itself, and sentence-transformers 5.0 hands them on."""
    export(tiny_embedder(encoder=ENCODERS[family]), tmp_path / "out", verify=None)
    config = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert config.get("model_input_names") == (None if family == "bert" else ["input_ids", "attention_mask"])


def test_no_tokenizer(tmp_path):
    with pytest.raises(
        UserError, match=r"no tokenizer \(tokenizer\.json or vocab\.txt or vocab\.json with merges\.txt or "
    ):
        load_tokenizer(tmp_path)


def test_broken_tokenizer(tmp_path):
    save_tokenizer(TOKENIZER, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="the tokenizer does not load"):
        load_tokenizer(tmp_path)


def test_code_in_the_folder_is_not_run(tmp_path):
    save_tokenizer(TOKENIZER, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": [None, "evil.Evil"]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(
        UserError, match=r"auto_map names code for AutoTokenizer .*evil\.Evil.* which jaxemb does not run"
    ):
        load_tokenizer(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_vocabulary_must_fit():
    check_vocabulary(TOKENIZER, ENCODER, "here")
    small = ENCODER.model_copy(update={"vocab_size": len(TOKENIZER) - 1})
    with pytest.raises(UserError, match=f"here: the tokenizer has {len(TOKENIZER)} entries, but vocab_size is"):
        check_vocabulary(TOKENIZER, small, "here")
