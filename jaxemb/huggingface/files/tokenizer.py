"""The tokenizer of a model folder: loaded by transformers, written so that versions 4 and 5 read the same."""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxemb.config import EncoderConfig
from jaxemb.errors import UserError
from jaxemb.fast_tokenizer import plain_backend, special_tokens
from jaxemb.files import os_errors_of_rust
from jaxemb.huggingface.files.keys import check_no_code
from jaxemb.huggingface.files.tensors import read_object

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
SENTENCE_PIECES = ("sentencepiece.bpe.model", "spiece.model")
VOCABULARIES = ((TOKENIZER,), ("vocab.txt",), ("vocab.json", "merges.txt"), *((name,) for name in SENTENCE_PIECES))
"""Sets of files, any of which is enough for a tokenizer; transformers builds the fast tokenizer from all but the first.
"""


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder has the files of a tokenizer."""
    return any(all((folder / name).exists() for name in names) for names in VOCABULARIES)


def load_tokenizer(folder: Path, *, lowercase: bool = False) -> "PreTrainedTokenizerBase":
    """Loads a fast tokenizer from `folder`; runs no code from there and uses no network.

    Args:
      folder: with `tokenizer.json`, or the older files of BERT (vocab.txt), RoBERTa (vocab.json, merges.txt) or, with
        the package sentencepiece, XLM-R and CamemBERT (sentencepiece.bpe.model).
      lowercase: lower-case texts first (`do_lower_case` of sentence-transformers).

    Raises: UserError if there is none, it is not a fast one, or it has a setting that we do not support.
    """
    if not has_tokenizer(folder):
        wanted = " or ".join(" with ".join(names) for names in VOCABULARIES)
        raise UserError(f"{folder}: no tokenizer ({wanted} is missing)")
    _check_settings(folder)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exceptions
        raise UserError(f"{folder}: the tokenizer does not load: {error}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(f"{folder}: {type(tokenizer).__name__} is not a fast tokenizer; save it with a tokenizer.json")
    _check_files(folder, tokenizer)
    if lowercase:
        _lowercase(tokenizer)
    return tokenizer


def _check_settings(folder: Path) -> None:
    """Refuses settings that make a tokenizer differ from what transformers' own classes give for the text alone.

    transformers itself reads all other keys of tokenizer_config.json and special_tokens_map.json.
    """
    path = folder / TOKENIZER_CONFIG
    config = read_object(path) if path.exists() else {}
    check_no_code(path, config, "AutoTokenizer")
    if config.get("split_special_tokens"):
        raise UserError(f"{path}: split_special_tokens {config['split_special_tokens']!r} is not supported: set false")
    names = config.get("model_input_names")
    if names is not None and not {"input_ids", "attention_mask"} <= _texts(names):
        raise UserError(
            f"{path}: model_input_names {names!r} is not supported: without input_ids and attention_mask the padding "
            "beside a text would change its embedding"
        )
    if any((folder / name).exists() for names in VOCABULARIES[:3] for name in names[-1:]):
        return
    if importlib.util.find_spec("sentencepiece") is None:
        raise UserError(
            f"{folder}: the vocabulary is a SentencePiece model, without a {TOKENIZER}: install its reader "
            "(pip install sentencepiece), or save the tokenizer with a tokenizer.json"
        )


def _texts(values: Any) -> set[str]:
    return {value for value in values if isinstance(value, str)} if isinstance(values, list) else set()


def _check_files(folder: Path, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuses a tokenizer whose files are missing: transformers 5 would silently make one with five tokens.

    Raises: UserError.
    """
    wanted = {name for name in getattr(tokenizer, "vocab_files_names", {}).values() if name != TOKENIZER}
    missing = sorted(name for name in wanted if not (folder / name).exists())
    if missing and not (folder / TOKENIZER).exists():
        raise UserError(
            f"{folder}: {type(tokenizer).__name__} needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} missing: add {'it' if len(missing) == 1 else 'them'}, or save the "
            f"tokenizer with a {TOKENIZER}"
        )


def _lowercase(tokenizer: Any) -> None:
    """Adds lower-casing before the tokenizer's own normalizer, as sentence-transformers does."""
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    own, several = backend.normalizer, isinstance(backend.normalizer, normalizers.Sequence)
    each = list(own) if several else [] if own is None else [own]
    if not any(isinstance(one, normalizers.Lowercase) for one in each):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *each])


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

    It does not use `save_pretrained`: transformers 5 writes class names and lists that transformers 4 cannot read, and
    a class such as `BertTokenizerFast` would change the normalizer of `tokenizer.json` to its own defaults.

    Args:
      tokenizer: a fast tokenizer.
      folder: created if it does not exist.
      max_length: the longest input in tokens; the tokenizer's own when None.
      token_types: false for a model without token types: sentence-transformers 5.0 and 5.1 pass on every input that the
        tokenizer names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with os_errors_of_rust():
        plain_backend(tokenizer).save(str(folder / TOKENIZER))
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
    (folder / TOKENIZER_CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2, ensure_ascii=False), encoding="utf-8")
