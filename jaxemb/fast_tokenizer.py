"""The backend of a fast tokenizer: copied as it stands, or put under another tokenizer."""

from typing import TYPE_CHECKING

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
    """The special tokens that the tokenizer has, by their names."""
    return {name: str(token) for name in SPECIAL_TOKENS if (token := getattr(tokenizer, name, None)) is not None}


def plain_backend(tokenizer: "PreTrainedTokenizerBase") -> Tokenizer:
    """A copy of the backend, without the truncation and padding that earlier calls left."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def with_backend(tokenizer: "PreTrainedTokenizerBase", backend: Tokenizer) -> "PreTrainedTokenizerBase":
    """A tokenizer like `tokenizer` with another backend.

    Its class is the general one: `BertTokenizerFast` and others would replace the normaliser when they are loaded.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        clean_up_tokenization_spaces=False,
        **special_tokens(tokenizer),
    )
