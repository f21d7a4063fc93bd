"""What becomes of a key of a JSON file, whatever the file."""

import re
from pathlib import Path

import pytest

from jaxemb.errors import UserError
from jaxemb.huggingface.files.keys import CONFIG_HARMLESS, check_keys, check_no_code, shorten

PATH = Path("config.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"hidden_size": 8, "dropout": 0.3, "is_decoder": False, "new": None}, None),
        ({"is_decoder": True}, r"config\.json: is_decoder True is not supported; supported: False"),
        ({"is_decoder": 0}, "is_decoder 0 is not supported"),  # 0 == False in Python, not in JSON
        ({"factor": 1}, None),
        ({"new": "x" * 99}, r"new \('x{56}\.\.\.\) is an unknown key, which may change embeddings"),
        ({"dropout_of_mine": 1}, "dropout_of_mine"),  # whole names only
    ],
)
def test_read_harmless_or_refused(content, message):
    plain = {"is_decoder": (False,), "factor": (1.0, 2.0)}

    def check():
        check_keys(PATH, content, {"hidden_size"}, plain=plain, harmless=re.compile("dropout"))

    if message is None:
        check()
    else:
        with pytest.raises(UserError, match=message):
            check()


def test_what_an_encoder_does_not_read():
    for key in ("attention_probs_dropout_prob", "architectures", "bos_token_id", "_name_or_path", "torch_dtype"):
        assert CONFIG_HARMLESS.fullmatch(key)
    for key in ("hidden_size", "rope_scaling", "num_attention_heads", "alibi", "hidden_act"):
        assert not CONFIG_HARMLESS.fullmatch(key)


def test_code_is_not_run():
    check_no_code(PATH, {"auto_map": {"AutoModelForCausalLM": "modeling.Causal"}}, "AutoModel")
    for code in ({"AutoModel": "modeling.Own"}, "modeling.Own"):
        with pytest.raises(
            UserError, match=r"auto_map names code for AutoModel \('modeling\.Own'\), which jaxemb does not run"
        ):
            check_no_code(PATH, {"auto_map": code}, "AutoModel")


def test_a_long_value_is_cut_in_a_message():
    assert shorten([1, 2]) == "[1, 2]"
    assert shorten("a" * 100, most=10) == "'aaaaaa..."
