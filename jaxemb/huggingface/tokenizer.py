"""The tokenizer of a model folder: loaded by transformers, written so that versions 4 and 5 read the same."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jaxemb.config import EncoderConfig
from jaxemb.errors import UserError
from jaxemb.fast_tokenizer import plain_backend, special_tokens
from jaxemb.files import os_errors_of_rust

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VOCABULARIES = ("tokenizer.json", "vocab.txt")


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Loads a fast tokenizer from `folder`; runs no code from there and asks no network.

    Raises: UserError if there is none, or it is not a fast one.
    """
    if not any((folder / name).exists() for name in VOCABULARIES):
        raise UserError(f"{folder}: no tokenizer ({' or '.join(VOCABULARIES)} is missing)")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exceptions
        raise UserError(f"{folder}: the tokenizer does not load: {error}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(f"{folder}: {type(tokenizer).__name__} is not a fast tokenizer; save it with a tokenizer.json")
    return tokenizer


def check_vocabulary(tokenizer: "PreTrainedTokenizerBase", config: EncoderConfig, source: str) -> None:
    """Refuses a tokenizer with more entries than the embedding table has rows.

    Raises: UserError.
    """
    if len(tokenizer) > (config.vocab_size or 0):
        raise UserError(
            f"{source}: the tokenizer has {len(tokenizer)} entries, but vocab_size is {config.vocab_size}: "
            "they do not belong together"
        )


def save_tokenizer(
    tokenizer: "PreTrainedTokenizerBase", folder: Path, max_length: int | None = None, *, token_types: bool = True
) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`.

    Not by `save_pretrained`: transformers 5 writes class names and lists that transformers 4 does not read, and a
    class such as `BertTokenizerFast` would change the normaliser of `tokenizer.json` by its own defaults.

    Args:
      tokenizer: a fast tokenizer.
      folder: made if it does not exist.
      max_length: the longest input in tokens; the tokenizer's own when None.
      token_types: false for a model without them: sentence-transformers 5.0 and 5.1 hand on all that a tokenizer names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with os_errors_of_rust():
        plain_backend(tokenizer).save(str(folder / "tokenizer.json"))
    special = special_tokens(tokenizer)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length or tokenizer.model_max_length,
        "padding_side": "right",
        "truncation_side": tokenizer.truncation_side,
        "clean_up_tokenization_spaces": False,
        **special,
    }
    if not token_types:
        config["model_input_names"] = ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2, ensure_ascii=False), encoding="utf-8")
